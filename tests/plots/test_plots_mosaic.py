"""Pixels on the page are the pixels that were stored."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ib_analysis.plots.mosaic import displayable, mosaic, png_data_url


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 256), st.sampled_from([1, 3]), st.integers(0, 2**32 - 1))
def test_displayed_bytes_keep_every_intensity_apart(intensities: int, channels: int, seed: int) -> None:
    images = np.random.default_rng(seed).integers(0, intensities, (2, channels, 3, 4)).astype(np.uint8)
    shown = displayable(images, intensities)
    assert shown.shape == (2, 3, 4, 3)
    back = np.rint(shown.astype(float) * (intensities - 1) / 255).astype(np.uint8)
    assert np.array_equal(np.moveaxis(back, -1, 1)[:, :channels], images)


@pytest.mark.parametrize("grey", [True, False])
def test_data_url_is_lossless(grey: bool) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (5, 7, 1 if grey else 3)).astype(np.uint8)
    pixels = np.repeat(pixels, 3, axis=-1) if grey else pixels
    head, _, body = png_data_url(pixels).partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(body))) as image:
        assert image.mode == ("L" if grey else "RGB")
        assert np.array_equal(np.asarray(image.convert("RGB")), pixels)


def test_mosaic_places_every_image() -> None:
    images = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((6, 2, 3, 3), np.uint8)
    laid = mosaic([list(images[:3]), list(images[3:])], gap=1)
    assert laid.shape == (5, 11, 3)
    for index in range(6):
        y, x = 3 * (index // 3), 4 * (index % 3)
        assert (laid[y : y + 2, x : x + 3] == index).all()
    assert (laid[2] == 255).all()
