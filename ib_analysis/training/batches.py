"""The images of a training step, as a pure function of (seed, epoch, step)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Batches", "shift_and_flip"]


class Batches:
    """Shuffled, optionally augmented batches; no state is carried from one to the next, so any can be made again.

    All images lie in memory as one uint8 tensor: no loader processes are needed.

    Arguments:
        images: shape (N, C, H, W), uint8.
        labels: shape (N,), int64.
        batch_size: images of a batch at most; an epoch is cut into batches of equal size (give or take one).
        seed: of order and augmentation.
        augment: whether to shift and mirror.
        device: where the images are kept.

    >>> images = torch.arange(5, dtype=torch.uint8).reshape(5, 1, 1, 1)
    >>> batches = Batches(images, torch.arange(5), batch_size=2, seed=0, augment=False)
    >>> len(batches), sorted(label for step in range(3) for label in batches.batch(1, step)[1].tolist())
    (3, [0, 1, 2, 3, 4])
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        batch_size: int,
        seed: int,
        augment: bool,
        device: torch.device | str = "cpu",
    ) -> None:
        self.images, self.labels = images.to(device), labels.to(device)
        self.seed, self.augment = seed, augment
        self._steps = -(-len(images) // batch_size)
        self._parts = lru_cache(maxsize=2)(self._cut)

    def __len__(self) -> int:
        """Steps of an epoch."""
        return self._steps

    def batch(self, epoch: int, step: int, share: int = 0, shares: int = 1) -> tuple[Tensor, Tensor]:
        """The images (B, C, H, W), uint8, and labels (B,) of one step.

        Arguments:
            epoch, step: both from 0.
            share, shares: with data parallelism, which of how many parts of the batch.
        """
        chosen = self._parts(epoch)[step]
        images = self.images[chosen]
        if self.augment:
            # Stream 0 of an epoch is its order.
            images = shift_and_flip(images, np.random.default_rng((self.seed, epoch, step + 1)))
        return images[share::shares], self.labels[chosen[share::shares]]

    def _cut(self, epoch: int) -> list[Tensor]:
        order = np.random.default_rng((self.seed, epoch, 0)).permutation(len(self.images))
        return [torch.from_numpy(part).to(self.images.device) for part in np.array_split(order, self._steps)]


def shift_and_flip(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Shift each image by up to an eighth of its size, filling with 0, and mirror every second one at random.

    At 32 pixels this is the pad-by-4 and crop of He et al. 2016 (arXiv 1512.03385, section 4.2).

    Arguments:
        images: shape (B, C, H, W).

    Returns:
        Shape (B, C, H, W).
    """
    n_images, channels, height, width = images.shape
    pad_y, pad_x = max(1, height // 8), max(1, width // 8)
    padded = F.pad(images, (pad_x, pad_x, pad_y, pad_y))
    rows = rng.integers(0, 2 * pad_y + 1, (n_images, 1)) + np.arange(height)
    columns = rng.integers(0, 2 * pad_x + 1, (n_images, 1)) + np.arange(width)
    columns = np.where(rng.random((n_images, 1)) < 0.5, columns[:, ::-1], columns)
    return padded[
        torch.arange(n_images, device=images.device)[:, None, None, None],
        torch.arange(channels, device=images.device)[:, None, None],
        torch.from_numpy(rows).to(images.device)[:, None, :, None],
        torch.from_numpy(columns).to(images.device)[:, None, None, :],
    ]
