"""Coins mixed into activations by a fixed orthogonal map: where, and how, a layer would hide information."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

__all__ = ["Mixing", "mixing_for"]

_TAG = 0x5B1CF


@dataclass(frozen=True)
class Mixing:
    """A linear map from coins to a tap's units; as a matrix its columns, one per coin, are orthonormal.

    Arguments:
        shape: of one image's activations, (C, h, w) or (C,).
        columns: float64; (C, m) where each coin goes to one position, (units, m) where it goes to all.
        positions: shape (m,), the position (row * w + column) that each coin goes to; None: to all.
    """

    shape: tuple[int, ...]
    columns: Tensor
    positions: Tensor | None

    def __call__(self, coins: Tensor) -> Tensor:
        """Coins (n, m) of -1 and +1 to what is added to the activations, (n, *shape), float64, before scaling."""
        given = coins.double()
        if self.positions is None:
            return (given @ self.columns.T).reshape(-1, *self.shape)
        mixed = torch.zeros(len(coins), self.shape[0], math.prod(self.shape[1:]), dtype=torch.float64)
        mixed.index_add_(2, self.positions, given[:, None, :] * self.columns)
        return mixed.reshape(-1, *self.shape)

    def channel_variances(self) -> Tensor:
        """Variance that fair coins of -1 and +1 bring to each channel, mean over its positions: (C,), float64."""
        energy = self.columns.square().sum(1)
        return energy.view(self.shape[0], -1).sum(1) / math.prod(self.shape[1:])

    def scale(self, deviations: Tensor) -> float:
        """The factor by which mixed coins are multiplied before they are added.

        Its square is the activations' variance per unit: a coin, spread over the units by a column of length 1, then
        has in its direction the variance that activations have in a direction on average. 1 for dead activations.

        Arguments:
            deviations: standard deviation of each channel, (C,).
        """
        variance = float(deviations.double().square().mean())
        return math.sqrt(variance) if variance > 0 else 1.0


@lru_cache(maxsize=64)
def mixing_for(
    shape: tuple[int, ...],
    size: tuple[int, int],
    pixels: tuple[int, ...],
    kind: Literal["local", "global"],
    seed: int,
) -> Mixing | None:
    """The mixing of coins into a tap; None where orthonormal columns do not fit.

    Locally, one orthogonal matrix serves all positions, as the weights of a convolution do: its column for a coin
    depends on the coin's place within the part of the image that the position covers. There must be as many channels as
    different places. A position of a finer map than the image covers a pixel or none.

    Arguments:
        shape: of one image's activations, (C, h, w) or (C,).
        size: (H, W) of the image.
        pixels: of the coins, row * W + column.
        kind: see `SpikeInConfig.mixing`.
        seed: of the matrix.

    >>> mixing = mixing_for((4, 2, 2), (4, 4), (0, 3, 9), "local", seed=0)
    >>> mixing.positions.tolist()
    [0, 1, 2]
    >>> mixing_for((2,), (4, 4), (0, 3, 9), "local", seed=0) is None
    True
    """
    rng = np.random.default_rng([_TAG, seed])
    if kind == "global":
        units = math.prod(shape)
        return None if len(pixels) > units else Mixing(shape, _orthonormal(units, len(pixels), rng), None)
    grid = shape[1:] if len(shape) == 3 else (1, 1)
    positions, places = [], []
    for pixel in pixels:
        row, column = divmod(pixel, size[1])
        down, right = row * grid[0] // size[0], column * grid[1] // size[1]
        positions.append(down * grid[1] + right)
        # The first row (column) that this position covers is the least r with r * h // H == down.
        places.append((row - -(-down * size[0] // grid[0]), column - -(-right * size[1] // grid[1])))
    different = sorted(set(places))
    if len(different) > shape[0]:
        return None
    matrix = _orthonormal(shape[0], len(different), rng)
    columns = matrix[:, [different.index(place) for place in places]]
    return Mixing(shape, columns, torch.tensor(positions))


def _orthonormal(rows: int, columns: int, rng: np.random.Generator) -> Tensor:
    """Uniformly distributed orthonormal columns (Mezzadri 2007, arXiv math-ph/0609050): (rows, columns), float64."""
    q, r = np.linalg.qr(rng.normal(size=(rows, columns)))
    return torch.from_numpy(q * np.sign(np.diag(r)))
