"""Pareto selection against constrained domination, pair by pair."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ib_analysis.search.selection import pareto_selection

POINTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=20)


@settings(max_examples=60, deadline=None)
@given(POINTS, st.integers(1, 25), st.booleans())
def test_what_is_better_comes_first(points: list[tuple[int, int, int]], count: int, limited: bool) -> None:
    """Nothing is left out for what it dominates, or for what ranks behind it; with spread or without."""
    losses = np.array([one[:2] for one in points], dtype=np.float64)
    violations = np.array([one[2] for one in points], dtype=np.float64) if limited else np.zeros(len(points))

    def beats(j: int, k: int) -> bool:
        if violations[j] != violations[k] or violations[j] > 0:
            return bool(violations[j] < violations[k])
        return bool((losses[j] <= losses[k]).all() and (losses[j] < losses[k]).any())

    def rank(k: int) -> int:
        return 1 + max((rank(j) for j in range(len(points)) if beats(j, k)), default=-1)

    ranks = [rank(k) for k in range(len(points))]
    for spread in (True, False):
        chosen = pareto_selection(
            losses, count, np.random.default_rng(0), spread, violations=violations if limited else None
        )
        assert len(set(chosen)) == len(chosen) == min(count, len(points))
        assert sorted(ranks)[: len(chosen)] == sorted(ranks[k] for k in chosen)
        assert [ranks[k] for k in chosen] == sorted(ranks[k] for k in chosen)


def test_points_beside_are_not_selected_but_count() -> None:
    losses = np.array([[0.0, 3.0], [2.0, 2.0], [3.0, 0.5]])
    beside = np.array([[1.0, 1.0]])
    assert sorted(pareto_selection(losses, 2, np.random.default_rng(0), beside=beside)) == [0, 2]
    broken = np.array([0.5, 0.0, 0.1])
    assert pareto_selection(losses, 2, np.random.default_rng(0), beside=beside, violations=broken) == [1, 2]
    assert pareto_selection(losses, 2, np.random.default_rng(0), beside=beside, violations=broken + 1) == [1, 2]
