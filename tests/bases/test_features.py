"""Stored features are those that a reader computes, and are found by the very image only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from decoder_builders import CELLS, build, conditions

from decoders import ImageSpace, PixelCNNPP, Reader, ReaderArchitecture, code_lengths_bits
from decoders.fitting.batches import Minibatch
from ib_analysis.bases.features import StoredFeatures, write_features
from ib_analysis.data import ImageHashes

IMAGE = ImageSpace(3, 4, 5, 256)
COUNT = 150  # more than are computed together


@pytest.fixture
def base() -> PixelCNNPP:
    return build(IMAGE, filters=5).float()


@pytest.fixture
def images() -> torch.Tensor:
    found = torch.randint(256, (COUNT, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    found[70] = found[2]  # an image may come twice
    return found


def stored(folder: Path, base: PixelCNNPP, images: torch.Tensor, cuts: tuple[int, ...] = (70, 149)) -> StoredFeatures:
    parts = []
    for number, own in enumerate(images.tensor_split(cuts)):
        path = folder / f"part_{number}.npy"
        write_features(path, base, own)
        parts.append((path, len(own)))
    return StoredFeatures(images.numpy(), parts)


def test_they_are_the_computed_ones_in_any_order_and_from_any_part(
    tmp_path: Path, base: PixelCNNPP, images: torch.Tensor
) -> None:
    found = stored(tmp_path, base, images)
    reader = Reader(base, ReaderArchitecture(width=4), CELLS)
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(0))
    for index in (order, torch.tensor([0, 69, 70, 148, 149, 0, 2])):
        given = found(images[index])
        assert given is not None
        assert (given.dtype, given.shape) == (torch.float16, (len(index), 5, 4, 5))
        computed = reader.base_features(images[index])
        # Batches of another size may round otherwise, to the next float16.
        torch.testing.assert_close(given.float(), computed, rtol=2e-3, atol=1e-4)
    again = found(images[order].long())
    assert again is not None
    assert torch.equal(again, found(images[order]))


def test_images_that_are_not_known_are_computed(tmp_path: Path, base: PixelCNNPP, images: torch.Tensor) -> None:
    found = stored(tmp_path, base, images)
    for place in ((0, 0, 0), (2, 3, 4), (1, 2, 2)):
        near = images[:4].clone()
        near[(1, *place)] += 1
        assert found(near) is None, "an image that differs in one pixel is taken for a known one"
        assert found(images[:4]) is not None
    assert found(images[:4].long() + 256) is None, "a number is cut to eight bits"
    assert found(images[:4, :1]) is None
    assert found(images[:4, :, :, :4]) is None
    assert found(images[:4].transpose(2, 3)) is None
    assert found(images[:0]) is None
    reader = Reader(base, ReaderArchitecture(width=4), CELLS)
    reader.stored = found
    with pytest.raises(ValueError, match="images must be"):
        reader().log_prob(images[:2].transpose(2, 3))
    strange = 255 - images[:3]
    assert torch.equal(reader.base_features(strange), Reader(base, ReaderArchitecture(), ()).base_features(strange))


def test_one_hash_for_two_images_does_no_harm(
    tmp_path: Path, base: PixelCNNPP, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageHashes, "__call__", lambda self, x: torch.zeros(len(x)).long())
    found = stored(tmp_path, base, images)
    reader = Reader(base, ReaderArchitecture(width=4), CELLS)
    reader.stored = found
    plain = Reader(base, ReaderArchitecture(width=4), CELLS)
    torch.testing.assert_close(reader.base_features(images[:9]), plain.base_features(images[:9]), rtol=2e-3, atol=1e-4)


def test_they_lie_in_memory_mapped_files_of_numpy(tmp_path: Path, base: PixelCNNPP, images: torch.Tensor) -> None:
    found = stored(tmp_path, base, images)
    assert all(isinstance(array, np.memmap) for array in found._arrays)
    whole = np.concatenate([np.load(tmp_path / f"part_{number}.npy") for number in range(3)])
    assert (whole.dtype, whole.shape) == (np.float16, (COUNT, 5, 4, 5))
    given = found(images[[149, 3]])
    assert given is not None
    assert np.array_equal(given.numpy(), whole[[149, 3]])
    assert not list(tmp_path.glob(".*")), "remains of writing"


def test_code_lengths_with_and_without_them_agree(tmp_path: Path, base: PixelCNNPP, images: torch.Tensor) -> None:
    reader = Reader(base, ReaderArchitecture(width=4), CELLS[:1])
    with torch.no_grad():
        for parameter in reader.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    (given,) = conditions(CELLS[:1], 20)
    minibatch = Minibatch(images[:20], (given.map(torch.Tensor.float),))
    for null in (False, True):
        reader.stored = None
        computed = code_lengths_bits(reader, [minibatch], null)
        reader.stored = stored(tmp_path, base, images)
        assert code_lengths_bits(reader, [minibatch], null) == pytest.approx(computed, abs=0.05)


def test_progress_is_told_and_a_part_without_images_is_one(tmp_path: Path, base: PixelCNNPP) -> None:
    told: list[tuple[int, int]] = []
    images = torch.zeros(65, 3, 4, 5, dtype=torch.uint8)
    write_features(tmp_path / "a.npy", base, images, lambda done, total, shown: told.append((done, total)))
    assert told == [(64, 65), (65, 65)]
    assert np.load(tmp_path / "a.npy").shape == (65, 5, 4, 5)
