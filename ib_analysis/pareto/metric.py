"""In what metric a direction is steepest: plain gradients, or the curvature that a search has met."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Curvature", "Metric"]

LARGEST_DENSE = 500
"""Variables up to which a full matrix is kept; beyond, a single number."""


class Metric(Protocol):
    """A positive definite matrix B of curvatures."""

    def steps(self, rows: Tensor, free: Tensor) -> Tensor:
        """B^-1 on the coordinates that are free; shape of the rows, (k, n), and 0 where they are not free."""

    def pull(self, direction: Tensor, step: Tensor) -> Tensor:
        """direction - B step, (n,): what still pulls at coordinates that were not free."""


class Curvature:
    """B of a Lagrangian by damped updates of Broyden, Fletcher, Goldfarb & Shanno (Powell 1978).

    Arguments:
        n_variables: n.
        first: B is this number times the identity until something is known.

    >>> metric = Curvature(2, first=1.0)
    >>> metric.update(np.array([1.0, 0.0]), np.array([4.0, 0.0]))
    >>> metric.steps(torch.tensor([[8.0, 4.0]]).double(), torch.ones(2).double())
    tensor([[2., 1.]], dtype=torch.float64)
    """

    def __init__(self, n_variables: int, first: float) -> None:
        self.dense = n_variables <= LARGEST_DENSE
        self.scale = first
        self.matrix: NDArray[np.float64] = first * np.eye(n_variables if self.dense else 0)
        self.known = False

    def update(self, moved: NDArray[np.float64], bent: NDArray[np.float64]) -> None:
        """Learn from a step and the change of the Lagrangian's gradient along it, both of shape (n,)."""
        length, curvature = float(moved @ moved), float(moved @ bent)
        if length == 0:
            return
        if not self.known and curvature > 0:
            # The first step tells the scale (Nocedal & Wright 2006, 6.20).
            self.scale = float(bent @ bent) / curvature
            self.matrix = self.scale * np.eye(len(self.matrix))
            self.known = True
        if not self.dense:
            # Barzilai & Borwein (1988), within a factor of 10.
            self.scale = min(max(curvature / length, self.scale / 10), 10 * self.scale)
            return
        image = self.matrix @ moved
        own = float(moved @ image)
        if curvature < 0.2 * own:
            share = 0.8 * own / (own - curvature)
            bent = share * bent + (1 - share) * image
            curvature = float(moved @ bent)
        self.matrix += np.outer(bent, bent) / curvature - np.outer(image, image) / own

    def steps(self, rows: Tensor, free: Tensor) -> Tensor:
        if not self.dense:
            return rows * free / self.scale
        chosen = (free > 0).numpy()
        found = torch.zeros_like(rows)
        if chosen.any():
            solved = np.linalg.solve(self.matrix[np.ix_(chosen, chosen)], rows.numpy()[:, chosen].T).T
            found[:, torch.from_numpy(chosen)] = torch.from_numpy(solved)
        return found

    def pull(self, direction: Tensor, step: Tensor) -> Tensor:
        if not self.dense:
            return direction - self.scale * step
        return direction - torch.from_numpy(self.matrix) @ step
