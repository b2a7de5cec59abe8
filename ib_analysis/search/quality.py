"""How good what a search found is, against the exact front where it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ib_analysis.pareto.quality import hypervolume, inverted_generational_distance_plus, non_dominated
from ib_analysis.search.evaluations import Evaluated, best
from ib_analysis.search.problem import Problem
from ib_analysis.search.space import Architecture
from ib_analysis.search.table import TableEvaluator

__all__ = ["Front", "Quality", "exact_front", "hypervolume_of", "quality"]


@dataclass(frozen=True)
class Front:
    """The best that there is.

    Arguments:
        points: shape (M, objectives): losses, each point once, ascending in the first.
        architectures: for each point, all that have these losses.
        hypervolume: below the references of all objectives, where the whole box is 1; 0 if nothing keeps the limits.
        violation: the least of the constraints'; above 0 if nothing keeps the limits. The points are then the
            non-dominated ones among the least infeasible.
    """

    points: NDArray[np.float64]
    architectures: tuple[tuple[Architecture, ...], ...]
    hypervolume: float
    violation: float = 0.0


@dataclass(frozen=True)
class Quality:
    """What a search found, against the exact front.

    A search all of whose architectures break the limits by more than the exact front does has found nothing: it counts
    as one point at the references.

    Arguments:
        hypervolume_ratio: share of the exact front's hypervolume; NaN if that is 0, as where nothing keeps the limits.
        points_found: points of the exact front that were found, by any architecture that has them.
        igd_plus: mean distance from the exact front's points (`inverted_generational_distance_plus`), in losses.
        violation: the least of what was evaluated; 0 where the limits are kept.
    """

    hypervolume_ratio: float
    points_found: int
    igd_plus: float
    violation: float = 0.0


def hypervolume_of(found: Sequence[Evaluated]) -> float:
    """What the feasible of these dominate below loss 1 in every objective; 0 for none.

    >>> hypervolume_of([])
    0.0
    """
    losses = [one.losses for one in found if one.violation == 0]
    return hypervolume(np.stack(losses), np.ones(len(losses[0]))) if losses else 0.0


def exact_front(problem: Problem) -> Front:
    """By brute force, over all rows of a table.

    Raises:
        ValueError: the problem's evaluator is no table.
    """
    table = problem.evaluator
    if not isinstance(table, TableEvaluator):
        raise ValueError("the exact front is known for tables only.")
    rows = [(architecture, table.evaluate(architecture)) for architecture in table]
    violations = np.array([problem.violation(metrics) for _, metrics in rows])
    allowed = np.flatnonzero(violations == violations.min())
    losses = np.stack([problem.losses(rows[k][1]) for k in allowed])
    # Equal rows made one first: sorting takes the square of their number.
    points, group = np.unique(losses, axis=0, return_inverse=True)
    kept = _non_dominated_of_sorted(points)
    members: dict[int, list[Architecture]] = {int(k): [] for k in kept}
    for k, g in zip(allowed, group.ravel(), strict=True):
        if int(g) in members:
            members[int(g)].append(rows[k][0])
    volume = hypervolume(points[kept], np.ones(points.shape[1])) if violations.min() == 0 else 0.0
    architectures = tuple(tuple(members[int(k)]) for k in kept)
    return Front(points[kept], architectures, volume, float(violations.min()))


def _non_dominated_of_sorted(points: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of the non-dominated of different points, shape (N, m), that are sorted by their losses.

    What dominates a point comes before it in that order, so that those before are enough to compare with; blocks keep
    the square of N from being asked of pymoo at once.

    >>> _non_dominated_of_sorted(np.array([[0.0, 2.0], [1.0, 1.0], [1.0, 2.0], [2.0, 0.0]]))
    array([0, 1, 3])
    """
    kept = np.zeros(0, dtype=np.intp)
    for start in range(0, len(points), 1000):
        candidates = np.concatenate([kept, np.arange(start, min(start + 1000, len(points)))])
        kept = candidates[non_dominated(points[candidates])]
    return kept


def quality(found: Sequence[Evaluated], front: Front) -> Quality:
    """See `Quality`.

    Arguments:
        found: everything that a search evaluated; at least one.
        front: of the same problem.
    """
    reached_front = best(found)
    losses = np.stack([one.losses for one in reached_front])
    violation = reached_front[0].violation
    if violation > front.violation:
        losses = np.ones((1, losses.shape[1]))
    reached = {one.architecture for one in found}
    return Quality(
        hypervolume_ratio=hypervolume_of(found) / front.hypervolume if front.hypervolume else float("nan"),
        points_found=sum(any(one in reached for one in members) for members in front.architectures),
        igd_plus=inverted_generational_distance_plus(losses, front.points),
        violation=violation,
    )
