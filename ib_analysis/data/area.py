"""Smaller images by area averages: every new pixel is the mean of the area that it covers."""

from __future__ import annotations

import numpy as np

__all__ = ["area_average", "size_within"]


def size_within(height: int, width: int, side: int) -> tuple[int, int]:
    """The size, in the same proportions, whose longer side has at most so many pixels; a smaller one stays.

    >>> size_within(224, 112, 32), size_within(8, 8, 32)
    ((32, 16), (8, 8))
    """
    longer = max(height, width)
    if longer <= side:
        return height, width
    return max(1, round(height * side / longer)), max(1, round(width * side / longer))


def area_average(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """The mean of the pixels below each new one, those on its border by the share that it covers; rounded.

    Arguments:
        images: shape (N, C, H, W), uint8.
        height, width: of the result, at most H and W.

    Returns:
        shape (N, C, height, width), uint8.

    >>> area_average(np.array([[[[0, 2, 4], [0, 2, 4]]]], dtype=np.uint8), 1, 2).tolist()
    [[[[1, 3]]]]
    """
    if images.shape[2:] == (height, width):
        return images
    rows, columns = _shares(images.shape[2], height), _shares(images.shape[3], width)
    means = np.matmul(np.matmul(rows, images.astype(np.float32)), columns.T)
    # Sums of float32 end a little beside a half; halves are rounded up on every machine.
    return np.floor(means + 0.5 + 1e-4).astype(np.uint8)


def _shares(before: int, after: int) -> np.ndarray:
    """What each new pixel takes of each old one, shape (after, before); a new one's shares sum to 1."""
    edges = np.arange(after + 1) * before / after
    start, end = np.maximum(edges[:-1, None], np.arange(before)), np.minimum(edges[1:, None], np.arange(1, before + 1))
    return (np.maximum(end - start, 0) * after / before).astype(np.float32)
