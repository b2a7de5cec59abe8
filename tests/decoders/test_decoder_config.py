"""Resolutions follow the image's size."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoders import Architecture, ImageSpace
from decoders.config import resolution_sizes


@pytest.mark.parametrize(
    ("size", "heights"),
    [
        (8, [8, 4]),
        (12, [12, 6]),
        (16, [16, 8, 4]),
        (32, [32, 16, 8]),
        (64, [64, 32, 16, 8]),
        (28, [28, 14, 7]),
        (9, [9]),
        (4, [4]),
    ],
)
def test_resolutions_adapt(size: int, heights: list[int]) -> None:
    assert [height for height, _ in resolution_sizes(size, size)] == heights


@given(height=st.integers(1, 96), width=st.integers(1, 96))
def test_every_resolution_halves_the_one_before(height: int, width: int) -> None:
    sizes = resolution_sizes(height, width)
    assert sizes[0] == (height, width)
    for finer, coarser in pairwise(sizes):
        assert finer == (2 * coarser[0], 2 * coarser[1])
        assert min(coarser) >= 4


@pytest.mark.parametrize(
    "options", [{"blocks": 0}, {"dropout": 1.0}, {"output": "normal"}, {"init_scale": 0.0}, {"resolutions": 0}]
)
def test_impossible_architectures_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match=rf"^{next(iter(options))} must be"):
        Architecture(**options)


def test_impossible_images_are_refused() -> None:
    for arguments in ((2, 8, 8), (1, 0, 8), (1, 8, 8, 1), (1, 8, 8, 257)):
        with pytest.raises(ValueError, match=r"must be|have|need"):
            ImageSpace(*arguments)
