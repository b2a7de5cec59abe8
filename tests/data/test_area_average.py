"""Area averages against a loop over every pixel's share of every other."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ib_analysis.data import area_average, size_within


def by_hand(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Exact in fractions; halves are rounded up."""
    found = np.zeros((height, width), dtype=np.uint8)
    tall, wide = image.shape

    def shares(new: int, before: int, after: int) -> list[Fraction]:
        start, end = Fraction(new * before, after), Fraction((new + 1) * before, after)
        return [max(Fraction(0), min(end, Fraction(old + 1)) - max(start, Fraction(old))) for old in range(before)]

    for row in range(height):
        for column in range(width):
            rows, columns = shares(row, tall, height), shares(column, wide, width)
            total = sum(rows[y] * columns[x] * int(image[y, x]) for y in range(tall) for x in range(wide))
            mean = total / (sum(rows) * sum(columns))
            found[row, column] = int(mean + Fraction(1, 2))
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 7), st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_every_pixel_is_the_mean_of_its_area(tall: int, wide: int, height: int, width: int, seed: int) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (1, 2, tall, wide), dtype=np.uint8)
    size = min(tall, height), min(wide, width)
    found = area_average(images, *size)
    for channel in range(2):
        np.testing.assert_array_equal(found[0, channel], by_hand(images[0, channel], *size))


def test_constant_images_stay_and_sizes_keep_proportions() -> None:
    images = np.full((2, 3, 224, 112), 255, dtype=np.uint8)
    assert size_within(224, 112, 32) == (32, 16)
    assert (area_average(images, 32, 16) == 255).all()
