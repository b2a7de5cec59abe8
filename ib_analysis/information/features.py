"""What probes see of a layer: its activations, made smaller where they are too many, standardised, or rotated."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ib_analysis.artifacts import UserError

__all__ = ["Components", "Standardisation", "distinct_rows", "pool_features"]

BLOCK = 1024
"""Images turned to float32 at once: statistics and pooling of any number of images need little memory."""

COMPONENT_IMAGES = 2048
"""Training images that principal components are found on; more would cost more and change little."""
_OVERSAMPLING, _ITERATIONS, _RANK = 16, 2, 1e-4

LARGEST = 10.0
"""Standardised activations are clipped to +-10 training standard deviations. A unit that was active for one training
image only has a tiny deviation, and an unclipped evaluation image could cost the probe thousands of bits."""


def pool_features(activations: Tensor, max_features: int) -> Tensor:
    """Average-pool spatial activations until an image has at most so many of them.

    The grid shrinks by the smallest whole factor that suffices; a grid of 1x1 is the end, so more than
    ``max_features`` channels stay more. Pooling is a function of the activations: by the data processing inequality
    a probe of the result still bounds the layer's information from below.

    Arguments:
        activations: shape (N, C, h, w), or (N, C), which is returned as it is; any float dtype.
        max_features: largest wanted number of features per image.

    Returns:
        shape (N, C, h', w') in the dtype of ``activations``.

    >>> pool_features(torch.zeros(2, 64, 32, 32), max_features=4096).shape
    torch.Size([2, 64, 8, 8])
    """
    if activations.ndim != 4 or activations[0].numel() <= max_features:
        return activations
    channels, height, width = activations.shape[1:]
    factor = 1
    while True:
        factor += 1
        size = (max(1, height // factor), max(1, width // factor))
        if channels * size[0] * size[1] <= max_features or size == (1, 1):
            break
    blocks = [functional.adaptive_avg_pool2d(block.float(), size) for block in activations.split(BLOCK)]
    return torch.cat([block.to(activations.dtype) for block in blocks])


def distinct_rows(values: np.ndarray) -> int:
    """How many of the rows differ, by 128 bits of each.

    Arguments:
        values: shape (N, ...), numbers; 0 and -0 are the same.

    >>> distinct_rows(np.array([[0.0, 1.0], [-0.0, 1.0], [0.0, 2.0]], dtype=np.float16))
    2
    """
    found: set[bytes] = set()
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK] + values.dtype.type(0)
        found.update(hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in block)
    return len(found)


@dataclass(frozen=True)
class Standardisation:
    """An affine map of each channel (or feature) to mean 0 and standard deviation 1 on the training images.

    Arguments:
        mean: shape (C, 1, 1) for spatial activations, (C,) for vectors.
        scale: 1 / standard deviation, the same shape; 0 for a channel that is constant in training.
    """

    mean: Tensor
    scale: Tensor

    @classmethod
    def of(cls, training: Tensor) -> Standardisation:
        """Statistics of the training images.

        Arguments:
            training: shape (N, C, h, w) or (N, C), any float dtype; sums are float64.

        Raises:
            UserError: a value is not finite.
        """
        axes = (0, 2, 3) if training.ndim == 4 else (0,)
        shape = (-1, 1, 1) if training.ndim == 4 else (-1,)
        count = training.numel() // training.shape[1]
        total = sum(block.double().sum(axes) for block in training.split(BLOCK))
        mean = torch.as_tensor(total).reshape(shape) / count
        squares = sum((block.double() - mean).square().sum(axes) for block in training.split(BLOCK))
        deviation = (torch.as_tensor(squares) / count).sqrt().reshape(shape)
        if not bool(torch.isfinite(deviation).all()):
            raise UserError(
                "Activations hold values that are not finite, so nothing can be probed; the encoder has diverged: "
                "train it with a smaller learning rate."
            )
        # Rounding leaves a constant channel with a deviation of about 1e-16 of its mean.
        constant = deviation <= 1e-6 * mean.abs().clamp(min=1e-6)
        scale = torch.where(constant, 0.0, 1 / deviation.clamp(min=1e-300))
        return cls(mean.float(), scale.float())

    def __call__(self, activations: Tensor) -> Tensor:
        """Standardise a batch; returns float32 of the same shape."""
        return ((activations.float() - self.mean) * self.scale).clamp_(-LARGEST, LARGEST)


@dataclass(frozen=True)
class Components:
    """Coordinates of standardised features along the directions in which training images differ most.

    A linear map that is found without labels and evaluation images: by the data processing inequality a probe of the
    coordinates bounds the layer's information from below, as one of the features does.

    Arguments:
        standardisation: of the features.
        directions: shape (F, k), orthonormal columns, the one of most variance first.
    """

    standardisation: Standardisation
    directions: Tensor

    @classmethod
    def of(cls, training: Tensor, largest: int) -> Components:
        """Principal components of training images, by randomised subspace iteration with a fixed seed (Halko,
        Martinsson & Tropp 2011, arXiv 0909.4061, algorithm 4.4), which costs a fraction of all eigenvectors.

        Arguments:
            training: shape (N, F), any float dtype; of more than `COMPONENT_IMAGES` images every so many is taken.
            largest: number of components at most; directions that hold next to nothing are left out.

        Raises:
            UserError: a value is not finite.
        """
        standardisation = Standardisation.of(training)
        x = standardisation(training[:: -(-len(training) // COMPONENT_IMAGES)])
        x = x - x.mean(0)
        width = min(largest + _OVERSAMPLING, *x.shape)
        start = torch.randn(x.shape[1], width, generator=torch.Generator().manual_seed(0)).to(x.device)
        across = x @ start
        for _ in range(_ITERATIONS):
            along = torch.linalg.qr(x.T @ torch.linalg.qr(across)[0])[0]
            across = x @ along
        _, deviations, rotation = torch.linalg.svd(across, full_matrices=False)
        count = min(largest, int((deviations > _RANK * deviations[0]).sum()))
        return cls(standardisation, along @ rotation[:count].T)

    def __call__(self, activations: Tensor) -> Tensor:
        """Shape (N, F) to (N, k), float32."""
        return torch.cat([self.standardisation(block) @ self.directions for block in activations.split(BLOCK)])
