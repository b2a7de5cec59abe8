"""Products of packed signs in numpy: what the compiled kernels must give, and what runs where numba is not installed.

Slower than a float convolution at every size: each word passes through memory several times.
"""

from __future__ import annotations

import numpy as np

from ib_analysis.binary.packing import PatchLayout

__all__ = ["patches", "products"]


def patches(padded: np.ndarray, layout: PatchLayout, stride: tuple[int, int]) -> np.ndarray:
    """Words of all patches.

    Arguments:
        padded: planes with their padding, uint64, (B, planes, h, w).

    Returns:
        uint64, (B, layout.words, oh, ow).
    """
    down, across = stride
    height, width = padded.shape[2] - layout.height + 1, padded.shape[3] - layout.width + 1
    found = np.zeros((len(padded), layout.words, -(-height // down), -(-width // across)), dtype=np.uint64)
    for plane, row, column, word, shift in layout.places():
        pixels = padded[:, plane, row : row + height : down, column : column + width : across]
        found[:, word] |= pixels << np.uint64(shift)
    return found


def products(rows: np.ndarray, columns: np.ndarray, n: int) -> np.ndarray:
    """n - 2 popcount(a xor b) for every row a and every column b.

    Arguments:
        rows: uint64, (M, K).
        columns: uint64, (..., K, N).
        n: signs in a row.

    Returns:
        int32, (..., M, N).
    """
    differing = np.zeros((*columns.shape[:-2], len(rows), columns.shape[-1]), dtype=np.int32)
    for word in range(rows.shape[1]):
        differing += np.bitwise_count(rows[:, word, None] ^ columns[..., None, word, :])
    return n - 2 * differing
