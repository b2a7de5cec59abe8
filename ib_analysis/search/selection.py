"""Pareto selection: which of many points are worth keeping."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ib_analysis.pareto.quality import sorted_fronts

__all__ = ["pareto_selection"]


def pareto_selection(
    losses: NDArray[np.float64],
    count: int,
    rng: np.random.Generator,
    spread: bool = True,
    beside: NDArray[np.float64] | None = None,
    violations: NDArray[np.float64] | None = None,
) -> list[int]:
    """The best `count` of some points: front after front, the last one thinned; then what breaks a constraint.

    Constraints come before losses (the constrained domination of Deb et al. 2002): whatever keeps them is better
    than what does not, and of two that do not, the one with the smaller violation is.

    Arguments:
        losses: shape (N, m), N >= 1.
        count: points wanted; all N if there are fewer.
        spread: thin the last front by taking the one farthest from those taken, again and again (Gonzalez 1985), from
            the least sum of losses on; else at random.
        beside: shape (M, m): further points that fronts are made of, but that are not selected; they keep all
            constraints.
        violations: shape (N,): of the constraints, 0 where they are kept; None: all are kept.

    Returns:
        Indices, the better ones first.

    >>> losses = np.array([[1.0, 1.0], [0.0, 0.0], [2.0, 2.0], [0.0, 1.0]])
    >>> pareto_selection(losses, 3, np.random.default_rng(0), violations=np.array([0.0, 0.5, 0.0, 0.1]))
    [0, 2, 3]
    """
    if violations is None:
        violations = np.zeros(len(losses))
    kept = np.flatnonzero(violations == 0)
    taken: list[int] = []
    if len(kept):
        points = losses[kept] if beside is None else np.concatenate([losses[kept], beside])
        for whole in sorted_fronts(points):
            front = kept[whole[whole < len(kept)]]
            room = count - len(taken)
            if len(front) <= room:
                taken += front.tolist()
            elif room > 0:
                taken += (front[_far_apart(losses[front], room)] if spread else rng.permutation(front)[:room]).tolist()
    broken = np.flatnonzero(violations > 0)
    order = np.lexsort([losses[broken].sum(1), violations[broken]])  # the last key comes first
    return taken + broken[order][: count - len(taken)].tolist()


def _far_apart(points: NDArray[np.float64], count: int) -> list[int]:
    scaled = points / np.maximum(np.ptp(points, axis=0), 1e-12)
    chosen = [int(points.sum(1).argmin())]
    nearest = np.linalg.norm(scaled - scaled[chosen[0]], axis=1)
    while len(chosen) < count:
        nearest[chosen] = -1.0
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(scaled - scaled[chosen[-1]], axis=1))
    return chosen
