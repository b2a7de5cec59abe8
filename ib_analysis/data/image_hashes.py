"""64 bits of an image, to look it up by."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

__all__ = ["ImageHashes"]


class ImageHashes:
    """h(x) = sum_i w_i x_i mod 2^64 with odd random w: images that differ rarely agree, equal ones always do.

    Arguments:
        shape: (C, H, W) of the images.

    >>> images = torch.arange(8, dtype=torch.uint8).view(2, 1, 2, 2)
    >>> first, second = ImageHashes((1, 2, 2))(images).tolist()
    >>> first != second
    True
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        draws = np.random.default_rng(0).integers(-(2**62), 2**62, size=math.prod(shape))
        self._weights = torch.from_numpy(2 * draws + 1)

    def __call__(self, images: Tensor) -> Tensor:
        """Shape (n, C, H, W), integers, to (n,), int64 (sums wrap around); in parts, so that any number fits."""
        parts = [(part.long() * self._weights).sum(1) for part in images.flatten(1).split(4096)]
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)
