"""Laying maps over images: every place of a map reaches the pixels that it covers, whatever the sizes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.grid import depth_to_space, grid_of, smallest_divisor

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@settings(max_examples=200, deadline=None)
@given(image=SIZES, spatial=SIZES)
def test_a_grid_divides_the_image_and_takes_every_map(image: tuple[int, int], spatial: tuple[int, int]) -> None:
    grid = grid_of((2, *spatial), image)
    for size, pixels, whole in zip(grid.size, grid.pixels, image, strict=True):
        assert size * pixels == whole
    if spatial == (1, 1):
        assert not grid.is_map
        assert all(size >= min(4, whole) for size, whole in zip(grid.size, image, strict=True))
        return
    assert grid.is_map
    resized = grid.resize or spatial
    # Nothing is made coarser, and nothing is resized that need not be.
    assert all(new >= old for new, old in zip(resized, spatial, strict=True))
    assert resized == tuple(size * fold for size, fold in zip(grid.size, grid.fold, strict=True))
    assert all(fold == 1 or pixels == 1 for fold, pixels in zip(grid.fold, grid.pixels, strict=True))
    fits = [whole % part == 0 or part % whole == 0 for part, whole in zip(spatial, image, strict=True)]
    assert (grid.resize is None) == all(fits)
    brought = grid.bring(torch.zeros(1, 2, *spatial))
    assert brought.shape == (1, 2 * grid.fold[0] * grid.fold[1], *grid.size)


@pytest.mark.parametrize(
    ("spatial", "image", "size", "resize"),
    [
        ((3, 3), (9, 9), (3, 3), None),
        ((2, 2), (9, 9), (3, 3), (3, 3)),
        ((4, 4), (9, 9), (9, 9), (9, 9)),
        ((5, 5), (12, 12), (6, 6), (6, 6)),
        ((5, 3), (10, 6), (5, 3), None),
        ((3, 2), (10, 6), (5, 2), (5, 2)),
        ((1, 4), (8, 8), (1, 4), None),
        ((20, 8), (16, 16), (16, 8), (32, 8)),
    ],
)
def test_grids_of_odd_sizes(
    spatial: tuple[int, int], image: tuple[int, int], size: tuple[int, int], resize: tuple[int, int] | None
) -> None:
    grid = grid_of((4, *spatial), image)
    assert (grid.size, grid.resize) == (size, resize)


def test_the_smallest_divisor_is_one_of_all() -> None:
    for size in range(1, 60):
        for least in range(1, 70):
            divisors = [d for d in range(1, size + 1) if size % d == 0 and d >= min(least, size)]
            assert smallest_divisor(size, least) == min(divisors)


def test_what_is_folded_into_channels_is_each_pixels_own_part_of_the_map() -> None:
    grid = grid_of((2, 4, 6), (2, 3))
    assert (grid.size, grid.fold, grid.pixels) == ((2, 3), (2, 2), (1, 1))
    x = torch.randn(3, 2, 4, 6)
    found = grid.bring(x)
    for row in range(2):
        for column in range(3):
            part = x[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert torch.equal(found[:, :, row, column], part.flatten(1))


@settings(max_examples=30, deadline=None)
@given(down=st.integers(1, 3), right=st.integers(1, 3))
def test_depth_becomes_space(down: int, right: int) -> None:
    x = torch.randn(2, 5 * down * right, 2, 3)
    found = depth_to_space(x, (down, right))
    assert found.shape == (2, 5, 2 * down, 3 * right)
    for feature in range(5):
        for row in range(2 * down):
            for column in range(3 * right):
                channel = (feature * down + row % down) * right + column % right
                assert torch.equal(found[:, feature, row, column], x[:, channel, row // down, column // right])
