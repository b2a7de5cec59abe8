"""Small images laid out as one big one, pixel for pixel."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

__all__ = ["GAP", "displayable", "mosaic", "png_data_url"]

GAP = 1
"""White pixels between two images of a mosaic."""


def displayable(images: np.ndarray, intensities: int) -> np.ndarray:
    """Integer images as red, green and blue bytes; the brightest intensity becomes 255.

    Arguments:
        images: shape (..., C, H, W) with 1 or 3 channels, integers 0..intensities-1.
        intensities: number of intensity levels.

    Returns:
        shape (..., H, W, 3), uint8.

    >>> displayable(np.array([[[0, 1, 3]]]), 4)[0, :, 0].tolist()
    [0, 85, 255]
    """
    scaled = np.rint(images.astype(np.float64) * (255 / (intensities - 1))).astype(np.uint8)
    last = np.moveaxis(scaled, -3, -1)
    return np.repeat(last, 3, axis=-1) if last.shape[-1] == 1 else last


def mosaic(grid: Sequence[Sequence[np.ndarray]], gap: int = GAP) -> np.ndarray:
    """Lay images out in rows and columns on white.

    Arguments:
        grid: rows of images, each (H, W, 3) uint8, all of one shape; a shorter row leaves white on its right.
        gap: pixels between neighbours.

    Returns:
        shape (rows * (H + gap) - gap, columns * (W + gap) - gap, 3), uint8.

    >>> dot = np.zeros((2, 2, 3), np.uint8)
    >>> mosaic([[dot], [dot, dot]])[:, :, 0].tolist()[1]
    [0, 0, 255, 255, 255]
    """
    height, width, _ = grid[0][0].shape
    columns = max(len(row) for row in grid)
    canvas = np.full(
        (len(grid) * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8
    )  # fmt: skip
    for top, row in enumerate(grid):
        for left, image in enumerate(row):
            y, x = top * (height + gap), left * (width + gap)
            canvas[y : y + height, x : x + width] = image
    return canvas


def png_data_url(pixels: np.ndarray, palette: np.ndarray | None = None) -> str:
    """An image as a PNG inside a data URL.

    Arguments:
        pixels: shape (H, W, 3), uint8; grey images are stored as grey. With a palette, shape (H, W), its indices.
        palette: shape (n <= 256, 3), uint8.
    """
    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette.tobytes())
    elif (pixels == pixels[..., :1]).all():
        image = image.convert("L")
    with io.BytesIO() as buffer:
        image.save(buffer, format="PNG", optimize=True)
        return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
