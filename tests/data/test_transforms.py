"""Resolution, greyscale and bits, against naive arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ib_analysis.artifacts import UserError
from ib_analysis.data.config import DataConfig
from ib_analysis.data.interface import Space
from ib_analysis.data.transforms import requantise, resize, to_greyscale, transform, transformed_space

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(256, size=(5, 3, 32, 32)).astype(np.uint8)


@pytest.mark.parametrize("bits", range(1, 9))
def test_bits_of_8_bit_images_are_the_upper_ones(bits: int) -> None:
    values = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(requantise(values, 256, bits), values >> (8 - bits))


@given(st.integers(2, 256), st.integers(1, 8))
def test_requantised_levels_are_monotone_and_equally_filled(intensities: int, bits: int) -> None:
    values = np.arange(intensities, dtype=np.uint8)
    levels = requantise(values, intensities, bits)
    assert levels.tolist() == [x * 2**bits // intensities for x in range(intensities)]
    if 2**bits <= intensities:
        counts = np.bincount(levels, minlength=2**bits)
        assert len(counts) == 2**bits
        assert counts.max() - counts.min() <= 1


def triangle_reference(row: np.ndarray, n: int) -> np.ndarray:
    """Bilinear with antialiasing in one dimension: a triangle as wide as two output pixels, normalised."""
    scale = len(row) / n
    centres = (np.arange(n) + 0.5) * scale
    distance = np.abs(np.arange(len(row)) + 0.5 - centres[:, None]) / scale
    weights = np.clip(1 - distance, 0, None)
    return (weights / weights.sum(1, keepdims=True)) @ row


def test_resize_is_antialiased_bilinear() -> None:
    small = resize(COLOUR, 16)
    assert small.dtype == np.uint8
    for image, result in zip(COLOUR.astype(float), small, strict=True):
        rows = np.apply_along_axis(triangle_reference, 1, image, 16)
        expected = np.apply_along_axis(triangle_reference, 2, rows, 16)
        assert np.abs(result - expected).max() <= 1.01  # whole numbers, rounded after either direction


def test_resize_crops_the_longer_side_to_its_centre() -> None:
    image = np.zeros((1, 1, 8, 24), dtype=np.uint8)
    image[..., 8:16] = 200
    np.testing.assert_array_equal(resize(image, 8), np.full((1, 1, 8, 8), 200))
    np.testing.assert_array_equal(resize(image.transpose(0, 1, 3, 2).copy(), 8), np.full((1, 1, 8, 8), 200))


def test_resize_to_its_own_size_changes_nothing() -> None:
    np.testing.assert_array_equal(resize(COLOUR, 32), COLOUR)


def test_greyscale_is_the_luma_of_bt_601() -> None:
    grey = to_greyscale(COLOUR)
    expected = np.tensordot(COLOUR.astype(float), [0.299, 0.587, 0.114], axes=([1], [0]))
    assert grey.shape == (5, 1, 32, 32)
    assert np.abs(grey[:, 0] - expected).max() <= 1.05
    np.testing.assert_array_equal(to_greyscale(grey), grey)


def test_transform_lives_in_the_space_it_announces() -> None:
    config = DataConfig(source="cifar10", resolution=8, greyscale=True, bits=3)
    native = Space((3, 32, 32), 256, 10)
    images = transform(COLOUR, native, config)
    assert transformed_space(native, config) == ((1, 8, 8), 8, 10)
    assert images.shape[1:] == (1, 8, 8)
    assert images.max() < 8
    np.testing.assert_array_equal(images, to_greyscale(resize(COLOUR, 8)) >> 5)


def test_more_bits_than_intensities_are_refused() -> None:
    with pytest.raises(UserError, match=r"data.bits is 5.* only 17 intensities; choose at most 4 bits"):
        transformed_space(Space((1, 8, 8), 17, 10), DataConfig(source="digits", bits=5))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bits", 0),
        ("bits", 9),
        ("resolution", 3),
        ("resolution", -32),
        ("resolution", 1000),
        ("per_class", 0),
        ("evaluation_per_class", 0),
        ("validation_share", 0.0),
        ("validation_share", 1.0),
        ("seed", -1),
        ("source", "imagenet"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"^data\.{field} is '?{value}'?; choose "):
        DataConfig(**{field: value})  # type: ignore[arg-type]
