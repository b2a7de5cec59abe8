"""Exact fronts by brute force: against all pairs and areas by hand, and those that are known of NAS-Bench-201."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_tables import COSTS, error_against, evaluated, nas_bench_201, small_problem

from ib_analysis.search.evaluations import Evaluated
from ib_analysis.search.monas import shares
from ib_analysis.search.problem import Constraint, Objective, Problem
from ib_analysis.search.quality import exact_front, hypervolume_of, quality
from ib_analysis.search.rewards import mixed
from ib_analysis.search.space import Choice, Space
from ib_analysis.search.table import TableEvaluator


def area(points: np.ndarray) -> float:
    """Of staircases in two dimensions, below (1, 1)."""
    corners = sorted((min(x, 1.0), min(y, 1.0)) for x, y in points.tolist())
    total, low = 0.0, 1.0
    for (x, y), (after, _) in pairwise([*corners, (1.0, 0.0)]):
        low = min(low, y)
        total += (after - x) * (1 - low)
    return total


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=30))
def test_fronts_with_ties_are_those_of_all_pairs(values: list[tuple[int, int]]) -> None:
    space = Space((Choice("row", tuple(range(30))),))
    table = TableEvaluator({(k,): {"a": float(a), "b": float(b)} for k, (a, b) in enumerate(values)})
    problem = Problem(space, (Objective("a", "minimize", 0, 5), Objective("b", "minimize", 0, 5)), table)
    front = exact_front(problem)
    expected = {(a, b) for a, b in values if not any(x <= a and y <= b and (x, y) != (a, b) for x, y in values)}
    assert front.points.tolist() == [[a / 5, b / 5] for a, b in sorted(expected)]
    for point, members in zip(front.points, front.architectures, strict=True):
        assert members == tuple((k,) for k, v in enumerate(values) if np.allclose(np.array(v) / 5, point))
    assert front.hypervolume == pytest.approx(area(front.points), abs=1e-12)


def test_quality_of_everything_and_of_a_part() -> None:
    problem = small_problem()
    front = exact_front(problem)
    everything = [evaluated(problem, one) for one in problem.space.architectures()]
    whole = quality(everything, front)
    assert (whole.hypervolume_ratio, whole.points_found, whole.igd_plus) == (pytest.approx(1), len(front.points), 0)
    part = [one for one in everything if one.architecture == front.architectures[3][0]]
    some = quality(part, front)
    x, y = part[0].losses
    assert some.points_found == 1
    assert some.hypervolume_ratio * front.hypervolume == pytest.approx((1 - x) * (1 - y), abs=1e-12)
    worse = np.maximum(part[0].losses - front.points, 0)  # distances count only where it is worse (IGD+, eq. 7)
    assert some.igd_plus == pytest.approx(np.linalg.norm(worse, axis=1).mean(), abs=1e-12)


def test_what_breaks_a_limit_has_no_volume() -> None:
    given_ = small_problem()
    limit = (Constraint("cost", "at most", 4.0),)
    problem = Problem(given_.space, given_.objectives, given_.evaluator, limit)
    front = exact_front(problem)
    assert all(problem.evaluator.evaluate(one)["cost"] <= 4 for members in front.architectures for one in members)
    over: list[Evaluated] = [evaluated(problem, (2, 2, 2, 2, 2))]
    assert hypervolume_of(over) == 0


def test_of_limits_that_nothing_keeps_the_front_is_of_the_least_infeasible() -> None:
    given_ = small_problem()
    limit = (Constraint("cost", "at most", 0.5), Constraint("error", "at most", 20.0))
    problem = Problem(given_.space, given_.objectives, given_.evaluator, limit)
    front = exact_front(problem)
    violations = [problem.violation(problem.evaluator.evaluate(one)) for one in problem.space.architectures()]
    assert front.violation == min(violations) > 0
    assert front.hypervolume == 0
    reached = quality([evaluated(problem, members[0]) for members in front.architectures], front)
    assert np.isnan(reached.hypervolume_ratio)
    assert (reached.points_found, reached.igd_plus, reached.violation) == (len(front.points), 0, front.violation)


def test_a_search_that_kept_no_limit_has_found_nothing() -> None:
    """Though what it found is better in all that counts, it is worth a point at the references."""
    given_ = small_problem()
    problem = Problem(given_.space, given_.objectives, given_.evaluator, (Constraint("error", "at least", 35.0),))
    front = exact_front(problem)
    assert front.violation == 0
    over = quality([evaluated(problem, (2, 2, 2, 2, 2))], front)
    assert (over.hypervolume_ratio, over.points_found) == (0, 0)
    assert over.violation > 0
    assert over.igd_plus == pytest.approx(np.linalg.norm(1 - front.points, axis=1).mean(), abs=1e-12)


KNOWN = {
    "macs": (14, 17, 0.65483),
    "pi5_ms": (37, 37, 0.64417),
    "pi5_mj": (31, 31, 0.63754),
    "xeon_ms": (36, 36, 0.55110),
    "pi4_ms": (43, 43, 0.66017),
    "eyeriss_ms": (16, 19, 0.56579),
    "gtx_1080ti_ms": (32, 32, 0.48733),
}
"""Points, cells (isomorphic ones share a point) and hypervolume, errors up to 20 % against costs up to the largest."""


@pytest.mark.slow
def test_fronts_of_nas_bench_201() -> None:
    table = nas_bench_201()
    assert len(table) == 15_625
    fronts = {cost: exact_front(error_against(table, cost)) for cost in COSTS}
    assert {
        cost: (len(front.points), sum(map(len, front.architectures)), round(front.hypervolume, 5))
        for cost, front in fronts.items()
    } == KNOWN
    for front in fronts.values():
        assert front.hypervolume == pytest.approx(area(front.points), abs=1e-12)
    best_error, macs = fronts["macs"].points[0] * (20.0, 220.11968)
    least_error, least_macs = fronts["macs"].points[-1] * (20.0, 220.11968)
    assert (round(best_error, 3), round(macs, 3)) == (5.627, 153.273)
    assert (round(least_error, 3), round(least_macs, 3)) == (13.203, 7.783)


@pytest.mark.slow
def test_a_linear_reward_sees_only_part_of_a_front() -> None:
    """Points that are best under some weight of MONAS' mixed reward, and those that nine weights ask for."""
    table, seen = nas_bench_201(), {}
    for cost in ("macs", "pi5_mj", "xeon_ms"):
        problem = error_against(table, cost)
        points = exact_front(problem).points
        accuracy, spent = shares([Evaluated((), {}, one, 0.0) for one in points])

        def asked(weights: np.ndarray, accuracy: np.ndarray = accuracy, spent: np.ndarray = spent) -> int:
            return len({int(mixed(accuracy, spent, weight).argmax()) for weight in weights.tolist()})

        seen[cost] = asked(np.linspace(0.0001, 0.9999, 200_001)), asked(np.arange(1, 10) / 10)
    assert seen == {"macs": (9, 6), "pi5_mj": (10, 6), "xeon_ms": (8, 3)}


@pytest.mark.slow
def test_fronts_of_two_devices_share_about_seven_points() -> None:
    """Of the multiply-adds' 14 points and the 37 of milliseconds on a Raspberry Pi 5 an earlier count found 7 shared.

    Several cells may have a point's error and multiply-adds, but other times: with one cell taken per point the count
    depends on which.
    """
    table = nas_bench_201()
    macs, pi5 = (exact_front(error_against(table, cost)).architectures for cost in ("macs", "pi5_ms"))
    on_pi5 = {one for members in pi5 for one in members}
    least, most = (sum(some(one in on_pi5 for one in members) for members in macs) for some in (all, any))
    assert least <= 7 <= most
    assert most < len(macs)
