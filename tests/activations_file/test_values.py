"""Numbers of an activations file: every type and order of axes, without loss, as a naive reading finds them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from activations_file_toys import N_IMAGES, replace
from hypothesis import given
from hypothesis import strategies as st

from ib_analysis.activations import FiledActivations
from ib_analysis.activations_file import FileAxes, contents_of, findings_of, read_rows
from ib_analysis.artifacts import UserError
from ib_analysis.data import DataConfig, load_data

Write = Callable[..., Path]


@given(st.permutations("CHW"), st.integers(0, 3))
def test_axes_put_every_value_where_its_letters_say(letters: list[str], extra: int) -> None:
    order = [*letters[:extra], "C", *letters[extra:]]  # two axes of channels
    sizes = {"C": [2, 3], "H": [4], "W": [5]}
    shape = (6, *(sizes[letter].pop(0) for letter in order))
    values = np.arange(np.prod(shape)).reshape(shape)
    found = FileAxes("N" + "".join(order))(values)
    first, second = (axis for axis, letter in enumerate(order) if letter == "C")
    for index in np.ndindex(*shape):
        channel = index[1 + first] * shape[1 + second] + index[1 + second]
        assert found[index[0], channel, index[1 + order.index("H")], index[1 + order.index("W")]] == values[index]


@given(st.permutations("CP"), st.sampled_from([(None, 4, (2, 2)), (None, 7, (2, 2)), ((1, 3), 5, (1, 3))]))
def test_patches_are_a_map_and_tokens_before_them_channels(letters: list[str], tokens: tuple) -> None:
    grid, n_tokens, (height, width) = tokens
    sizes = {"C": 3, "P": n_tokens}
    values = np.arange(6 * 3 * n_tokens).reshape(6, *(sizes[letter] for letter in letters))
    axes = FileAxes("N" + "".join(letters), grid)
    found, by_token = axes(values), values if letters == ["P", "C"] else values.swapaxes(1, 2)
    n_before = n_tokens - height * width
    assert found.shape == (6, *axes.row_shape(values.shape)) == (6, 3 * (1 + n_before), height, width)
    for image, row, column in np.ndindex(6, height, width):
        patch = by_token[image, n_before + row * width + column]
        wanted = np.concatenate([patch, *by_token[image, :n_before]])
        assert found[image, :, row, column].tolist() == wanted.tolist()


def values_of(path: Path, layer: str = "h2") -> tuple[np.ndarray, FiledActivations]:
    """Decoded activations at epoch 10, in the file's order of images."""
    contents = contents_of(path)
    data = load_data(DataConfig(source="activations_file", folder=str(path)))
    source = FiledActivations(contents, data, [layer], 16)
    numbers = source.layout(10, layer).numbers
    read = torch.cat([numbers.decode(source.read(10, layer, group)) for group in range(len(source.groups))]).numpy()
    rows = np.concatenate([data.decoder.source_index, data.evaluation.source_index])
    return read[np.argsort(rows)], source


RNG = np.random.default_rng(2)


@pytest.mark.parametrize("how", [{}, {"chunks": (7, 4)}, {"chunks": (16, 2), "compression": "gzip"}])
@pytest.mark.parametrize("kind", ["<f4", ">f4", "u1"])
def test_rows_in_any_order_are_the_same_however_they_lie(tmp_path: Path, how: dict, kind: str) -> None:
    values = RNG.integers(0, 256, (50, 4)).astype(kind)
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        file.create_dataset("filler", data=np.zeros(3))
        file.create_dataset("h", data=values, **how)
    rows = RNG.permutation(50)[:20]
    with h5py.File(tmp_path / "mine.h5") as file:
        np.testing.assert_array_equal(read_rows(file["h"], FileAxes("NC"), rows), values[rows])


@pytest.mark.parametrize(
    "values",
    [
        RNG.normal(size=(N_IMAGES, 4)).astype(np.float16),
        RNG.integers(-(2**15), 2**15, (N_IMAGES, 4)).astype(">i2"),
        RNG.integers(0, 2**16, (N_IMAGES, 4), dtype=np.uint16),
        RNG.integers(0, 2**24, (N_IMAGES, 4), dtype=np.uint32),
        RNG.integers(0, 2**20, (N_IMAGES, 4), dtype=np.uint64),
        RNG.integers(0, 2, (N_IMAGES, 4)).astype(bool),
        np.tile([-0.0, 0.0, 1.0, 2.0], (N_IMAGES, 1)),
    ],
    ids=lambda values: str(values.dtype),
)
def test_whole_and_half_numbers_come_back_exactly(write: Write, values: np.ndarray) -> None:
    path = write(lambda file: [replace(f"epoch_{epoch:04d}/h2", values)(file) for epoch in (0, 10)])
    found, _ = values_of(path)
    np.testing.assert_array_equal(found, values.astype(np.float64))
    np.testing.assert_array_equal(np.signbit(found), np.signbit(values.astype(np.float64)))


def test_bfloat16_as_bits(write: Write) -> None:
    values = torch.randn(N_IMAGES, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    bits = values.view(torch.uint16).numpy()
    change = [replace(f"epoch_{epoch:04d}/h2", bits, dtype="bfloat16") for epoch in (0, 10)]
    found, _ = values_of(write(lambda file: [one(file) for one in change]))
    np.testing.assert_array_equal(found, values.double().numpy())


def test_values_beyond_float16_keep_their_precision(write: Write) -> None:
    values = 1e7 + 1e5 * RNG.normal(size=(N_IMAGES, 4))
    found, source = values_of(write(lambda file: [replace(f"epoch_{e:04d}/h2", values)(file) for e in (0, 10)]))
    assert np.sqrt(np.square(found - values).mean(0)).max() < 1e5 / 32  # what `Losses` allows; the values are 1e7
    assert not source.layout(10, "h2").numbers.loses


@pytest.mark.parametrize("first", [2**24, 2**40, 2**53, 2**60, -(2**62), 2**63 - N_IMAGES])
def test_large_integers_stay_apart(write: Write, first: int) -> None:
    values = np.stack([first + np.arange(N_IMAGES)] * 2, 1).astype(np.int64)
    _, source = values_of(write(lambda file: [replace(f"epoch_{e:04d}/h2", values)(file) for e in (0, 10)]))
    kept = torch.cat([source.read(10, "h2", group) for group in range(len(source.groups))]).double()
    assert (kept[:, 0] - kept[:, 0].min()).sort().values.tolist() == list(range(N_IMAGES))
    assert not source.layout(10, "h2").numbers.loses


def test_integers_too_far_apart_for_float32_are_said_to_lose(write: Write) -> None:
    values = RNG.integers(0, 2**62, (N_IMAGES, 4))
    with pytest.warns(UserWarning, match="h2 at epoch 10 lose precision"):
        values_of(write(lambda file: [replace(f"epoch_{e:04d}/h2", values)(file) for e in (0, 10)]))


@pytest.mark.parametrize("scale", [1.0, 1e6, 1e-9])
def test_an_infinity_costs_no_other_value(write: Write, scale: float) -> None:
    values = scale * RNG.normal(size=(N_IMAGES, 3))
    values[:2, 0] = np.inf, -np.inf
    path = write(lambda file: [replace(f"epoch_{e:04d}/h2", values)(file) for e in (0, 10)])
    with pytest.warns(UserWarning, match="exceed the range"):
        found, source = values_of(path)
    finite = np.isfinite(values)
    assert np.abs(found - values)[finite].max() < scale / 100
    assert found[0, 0] > 20 * scale
    assert found[1, 0] < -20 * scale
    assert sum(source.n_clamped(10, "h2", group) for group in range(len(source.groups))) == 2


def test_an_integer_beyond_63_bits_is_refused(write: Write) -> None:
    values = np.full((N_IMAGES, 2), 2**63, dtype=np.uint64)
    path = write(lambda file: [replace(f"epoch_{epoch:04d}/h2", values)(file) for epoch in (0, 10)])
    with pytest.raises(UserError, match=r"/epoch_0010/h2 holds the integer 9223372036854775808"):
        values_of(path)


def test_what_every_value_tells(write: Write) -> None:
    values = RNG.normal(size=(N_IMAGES, 3, 2, 2))
    values[3, 0, 0, 0], values[5, 0, 1, 1], values[7, 0, 0, 1] = np.nan, np.nan, -np.inf
    values[:, 1] = 4.0
    path = write(lambda file: [replace(f"epoch_{epoch:04d}/h2", values)(file) for epoch in (0, 10)])
    found = findings_of(contents_of(path), 10, "h2")
    assert (found.n_nan, found.n_infinite, found.n_constant) == (2, 1, 1)
    values[9, 2, 0, 0] += 1e-9
    other = write(lambda file: [replace(f"epoch_{epoch:04d}/h2", values)(file) for epoch in (0, 10)], "other.h5")
    assert findings_of(contents_of(other), 10, "h2").sha256 != found.sha256
