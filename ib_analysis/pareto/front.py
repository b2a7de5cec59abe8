"""A Pareto front: followed from one preference to the next, and filled where it is sparse."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ib_analysis.pareto.preferences import checked_preference
from ib_analysis.pareto.problems import Problem
from ib_analysis.pareto.quality import non_dominated
from ib_analysis.pareto.search import ParetoPoint, SearchConfig, search

__all__ = ["fill_front", "trace_front"]

Vector = NDArray[np.float64]

CLOSE = 1e-3
"""Points nearer than this, in units of the front's extent, count as one."""


def trace_front(
    problem: Problem, preferences: Iterable[ArrayLike], start: Tensor, config: SearchConfig | None = None
) -> list[ParetoPoint]:
    """A point per preference, each search beginning where that of the nearest preference before it ended.

    Arguments:
        problem: see `Problem`.
        preferences: each of shape (m,), best in an order in which neighbours are near (`circle_preferences`,
            `simplex_preferences`).
        start: shape (n,), of the first search.
        config: see `SearchConfig`.

    Returns:
        Points in the order of the preferences; some may dominate others where the front has gaps, or a search ended in
        a local optimum (`non_dominated` tells).

    >>> from ib_analysis.pareto.preferences import circle_preferences
    >>> from ib_analysis.pareto.problems import gaussian_wells
    >>> import torch
    >>> front = trace_front(gaussian_wells(2), circle_preferences(3), torch.tensor([0.3, -0.1]))
    >>> [point.losses.round(3).tolist() for point in front]
    [[0.146, 0.923], [0.632, 0.632], [0.923, 0.146]]
    """
    points: list[ParetoPoint] = []
    for preference in preferences:
        r = checked_preference(preference)
        if len(r) != problem.n_losses:
            raise ValueError(
                f"Preference {len(points)} has {len(r)} entries; the problem has {problem.n_losses} losses."
            )
        x = min(points, key=lambda point: _distance_of_logs(point.preference, r)).x if points else start
        points.append(search(problem, r, x, config))
    return points


def fill_front(
    problem: Problem, points: list[ParetoPoint], count: int, config: SearchConfig | None = None
) -> list[ParetoPoint]:
    """Add points where a front is sparse, until it has a wanted number.

    In the manner of PESA (Corne, Knowles & Oates 2000), whose archive prefers sparse regions: the midpoint of the
    two neighbours that are farthest apart is aimed at, by the preference 1/l, from one of them. A point joins the
    archive if none of it dominates it and none is closer than a thousandth of the front's extent.

    Arguments:
        problem: see `Problem`.
        points: at least 2, for instance of `trace_front`.
        count: points wanted.
        config: see `SearchConfig`.

    Returns:
        The archive: of the points given the non-dominated ones, each once, and what brings them to `count`; fewer where
        all gaps were tried in vain (the front has a gap of its own there).

    Raises:
        ValueError: there are too few points to have gaps between.
    """
    if len(points) < 2:
        raise ValueError(f"{len(points)} points have no gaps between them; trace a front of at least two first.")
    everything = list(points)  # a pair of points that was tried is known by their places here
    archive = _non_dominated_places(everything)
    tried: set[tuple[int, int]] = set()
    while len(archive) < count:
        losses = np.stack([everything[place].losses for place in archive])
        low, extent = losses.min(axis=0), np.maximum(np.ptp(losses, axis=0), 1e-300)
        gap = _widest_gap((losses - low) / extent, archive, tried)
        if gap is None:
            break
        tried.add(gap)
        first, second = (everything[place] for place in gap)
        found = search(problem, 1 / (first.losses + second.losses), first.x, config)
        distances = np.linalg.norm((losses - found.losses) / extent, axis=1)
        if distances.min() > CLOSE:
            everything.append(found)
            archive = _non_dominated_places(everything)
    return [everything[place] for place in archive]


def _widest_gap(places: Vector, names: list[int], tried: set[tuple[int, int]]) -> tuple[int, int] | None:
    """The two neighbours that are farthest apart, of those not tried yet.

    Neighbours are two points whose midpoint no third point is nearer to (Gabriel & Sokal 1969): in two dimensions the
    next along the front, in more those around.
    """
    widest, found = CLOSE, None
    for i in range(len(places)):
        for j in range(i + 1, len(places)):
            length = float(np.linalg.norm(places[i] - places[j]))
            if length <= widest or (names[i], names[j]) in tried:
                continue
            around = np.linalg.norm(places - (places[i] + places[j]) / 2, axis=1)
            if int((around < length / 2 * (1 - 1e-9)).sum()) == 0:
                widest, found = length, (names[i], names[j])
    return found


def _non_dominated_places(points: list[ParetoPoint]) -> list[int]:
    kept: list[int] = []
    for place in non_dominated(np.stack([point.losses for point in points])).tolist():
        if all(float(np.abs(points[place].losses - points[other].losses).max()) > 0 for other in kept):
            kept.append(place)
    return kept


def _distance_of_logs(one: Vector, other: Vector) -> float:
    return float(np.linalg.norm(np.log(one / other)))
