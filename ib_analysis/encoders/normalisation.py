"""From integer pixels to inputs of mean 0 and standard deviation 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Normalisation"]


class Normalisation(nn.Module):
    """``(x / (intensities - 1) - mean) / std`` per channel; mean and std are buffers, kept with the weights.

    Arguments:
        channels: number of channels of the images.
        intensities: number of levels of a pixel, 2..256.

    >>> images = torch.tensor([0, 0, 3, 3], dtype=torch.uint8).reshape(1, 1, 2, 2)
    >>> normalisation = Normalisation(channels=1, intensities=4)
    >>> normalisation.fit(images)
    >>> normalisation(images).flatten().tolist()
    [-1.0, -1.0, 1.0, 1.0]
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, intensities: int) -> None:
        super().__init__()
        self.intensities = intensities
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def forward(self, images: Tensor) -> Tensor:
        """Arguments: images: shape (B, C, H, W), integers. Returns: shape (B, C, H, W), float."""
        scaled = images.to(self.mean.dtype) / (self.intensities - 1)
        return (scaled - self.mean[:, None, None]) / self.std[:, None, None]

    def fit(self, images: Tensor) -> None:
        """Take mean and standard deviation from the pixels of a data set.

        Computed from exact pixel counts, so that the result depends on no order of summation.

        Arguments:
            images: shape (N, C, H, W), integers 0..intensities-1.
        """
        levels = torch.arange(self.intensities, dtype=torch.float64) / (self.intensities - 1)
        for channel in range(images.shape[1]):
            # In blocks: bincount turns its input into 8-byte integers.
            counts = torch.zeros(self.intensities, dtype=torch.float64)
            for block in images[:, channel].split(4096):
                counts += torch.bincount(block.flatten().cpu(), minlength=self.intensities)
            share = counts / counts.sum()
            mean = (share * levels).sum()
            variance = (share * (levels - mean) ** 2).sum()
            self.mean[channel] = mean
            # A constant channel (padding, an empty colour plane) carries nothing: leave its scale alone.
            self.std[channel] = variance.sqrt() if variance > 1e-12 else 1.0
