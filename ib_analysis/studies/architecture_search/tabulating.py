"""From the searches of a method on a problem to the rows of tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ib_analysis.information.intervals import Interval
from ib_analysis.information.seed_spread import spread_over_seeds
from ib_analysis.search.nas_bench_201 import NAS_BENCH_201, string_of
from ib_analysis.search.problem import Problem
from ib_analysis.search.quality import Front
from ib_analysis.search.space import Architecture, Space
from ib_analysis.studies.architecture_search.rows import CurveRow, FrontRow, MethodRow, RoundRow
from ib_analysis.studies.architecture_search.searching import SearchResult, evaluated

__all__ = ["curve_rows", "front_rows", "mean_over_seeds", "method_row", "round_rows"]


def mean_over_seeds(values: Sequence[float], confidence: float) -> Interval:
    """With its t-interval for new seeds; a single value has none."""
    return spread_over_seeds({(k, 0): Interval(v, v, v) for k, v in enumerate(values)}, confidence).mean


def method_row(results: Sequence[SearchResult], front: Front, confidence: float) -> MethodRow:
    """Of the searches of one method on one problem, at least one."""
    rows = [result.row for result in results]
    points, distance = (
        mean_over_seeds([float(getattr(row, name)) for row in rows], confidence)
        for name in ("points_found", "igd_plus")
    )
    ratios = [row.hypervolume_ratio for row in rows if row.hypervolume_ratio is not None]
    ratio = mean_over_seeds(ratios, confidence) if ratios else None
    return MethodRow(
        cost=rows[0].cost,
        method=rows[0].method,
        n_seeds=len(rows),
        hypervolume_ratio=ratio.estimate if ratio else None,
        hypervolume_ratio_low=ratio.low if ratio else None,
        hypervolume_ratio_high=ratio.high if ratio else None,
        points_found=points.estimate,
        points_found_low=points.low,
        points_found_high=points.high,
        exact_points=len(front.points),
        igd_plus=distance.estimate,
        igd_plus_low=distance.low,
        igd_plus_high=distance.high,
        as_feasible=sum(row.violation <= front.violation for row in rows),
        violation=float(np.mean([row.violation for row in rows])),
        evaluations=float(np.mean([row.evaluations for row in rows])),
        repeats=float(np.mean([row.repeats for row in rows])),
        rank_correlation=_mean([row.rank_correlation for row in rows]),
        rank_correlation_cost=_mean([row.rank_correlation_cost for row in rows]),
        seconds=float(np.median([row.seconds for row in rows])),
    )


def curve_rows(results: Sequence[SearchResult], budget: int, confidence: float) -> Iterator[CurveRow]:
    """Means over searches after each evaluation; none where the exact front has no hypervolume."""
    curves = [result.curve for result in results]
    if not all(curves):
        return
    cost, method = results[0].row.cost, results[0].row.method
    for count in range(1, budget + 1):
        at = mean_over_seeds([curve[min(count, len(curve)) - 1] for curve in curves], confidence)
        yield CurveRow(cost, method, count, at.estimate, at.low, at.high)


def round_rows(results: Sequence[SearchResult], confidence: float) -> Iterator[RoundRow]:
    """Of the searches of one method on one problem; none without a surrogate."""
    cost, method = results[0].row.cost, results[0].row.method
    everything = [one for result in results for one in result.rounds if one.value is not None]
    for number, metric in sorted({(one.round, one.metric) for one in everything}):
        own = [one for one in everything if (one.round, one.metric) == (number, metric)]
        at = mean_over_seeds([one.value for one in own if one.value is not None], confidence)
        candidates, n = (float(np.mean([getattr(one, name) for one in own])) for name in ("candidates", "n"))
        yield RoundRow(cost, method, number, metric, len(own), candidates, n, at.estimate, at.low, at.high)


def front_rows(problem: Problem, front: Front, results: Mapping[str, Sequence[SearchResult]]) -> Iterator[FrontRow]:
    """The exact front and that of each method's median search, from the cheapest on.

    Where several architectures have the losses of a point, one stands for them.
    """
    yield from _points(problem, "exact", None, [members[0] for members in front.architectures])
    for method, searches in results.items():
        order = sorted(searches, key=lambda one: (one.row.hypervolume_ratio or 0.0, one.row.seed))
        median = order[(len(order) - 1) // 2]
        yield from _points(problem, method, median.row.seed, median.front)


def _points(
    problem: Problem, method: str, seed: int | None, architectures: Sequence[Architecture]
) -> Iterator[FrontRow]:
    accuracy, cost = (objective.metric for objective in problem.objectives)
    seen: set[tuple[float, float]] = set()
    for one in sorted((evaluated(problem, one) for one in architectures), key=lambda one: one.metrics[cost]):
        values = one.metrics[cost], one.metrics[accuracy]
        if values not in seen:
            yield FrontRow(cost, method, seed, *values, _written(problem.space, one.architecture))
        seen.add(values)


def _written(space: Space, architecture: Architecture) -> str:
    if space == NAS_BENCH_201:
        return string_of(architecture)
    return " ".join(f"{name}={option}" for name, option in space.values(architecture).items())


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None
