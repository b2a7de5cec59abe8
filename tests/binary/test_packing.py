"""Signs as bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ib_analysis.binary.packing import PackedSigns, PatchLayout, pack_bits, unpack_bits, weight_words


@given(st.integers(1, 3), st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_bits_come_back_and_each_has_its_place(rows: int, n: int, seed: int) -> None:
    bits = np.random.default_rng(seed).random((rows, n)) < 0.5
    words = pack_bits(bits)
    assert words.shape == (rows, -(-n // 64))
    assert np.array_equal(unpack_bits(words, n), bits)
    for row in range(rows):  # the whole row as one number of Python
        value = sum(int(word) << 64 * place for place, word in enumerate(words[row]))
        assert value == sum(1 << place for place in range(n) if bits[row, place])


@pytest.mark.parametrize("shape", [(2, 1), (2, 64), (3, 65), (2, 3, 4, 5), (1, 130, 2, 3)])
def test_signs_come_back_in_their_shape(shape: tuple[int, ...]) -> None:
    x = torch.randint(2, shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    packed = PackedSigns.of(x)
    assert packed.words.shape == (shape[0], -(-shape[1] // 64), *shape[2:])
    assert torch.equal(packed.unpack(torch.int64), x)
    assert torch.equal(packed.flatten().unpack(torch.int64), x.flatten(1))
    assert torch.equal(PackedSigns.of(x == 1).unpack(torch.int64), x)


def test_zero_of_either_sign_is_plus_one() -> None:
    assert PackedSigns.of(torch.tensor([[0.0, -0.0, -1e-30, 1e-30]])).unpack().tolist() == [[1, 1, -1, 1]]


def test_words_that_do_not_fit_their_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="65 channels are 2 planes"):
        PackedSigns(np.zeros((1, 1, 2, 2), dtype=np.uint64), 65)


@given(st.integers(1, 200), st.integers(1, 5), st.integers(1, 5))
def test_pixels_of_a_patch_share_words_without_overlap(channels: int, height: int, width: int) -> None:
    layout = PatchLayout(channels, height, width)
    taken = np.zeros((layout.words, 64), dtype=int)
    for plane, _, _, word, shift in layout.places():
        taken[word, shift : shift + min(64, channels - 64 * plane)] += 1
    assert taken.max() == 1
    assert taken.sum() == layout.n
    ones = weight_words(np.ones((1, channels, height, width), dtype=bool), layout)
    assert np.array_equal(unpack_bits(ones, layout.words * 64)[0], taken.reshape(-1) == 1)


@pytest.mark.parametrize(("channels", "words"), [(1, 1), (3, 1), (16, 3), (17, 3), (32, 5), (33, 9), (64, 9), (96, 14)])
def test_narrow_layers_waste_few_bits(channels: int, words: int) -> None:
    assert PatchLayout(channels, 3, 3).words == words
