"""Fronts: followed, filled, and measured by pymoo."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pareto_answers import wells_losses

from ib_analysis.pareto import (
    circle_preferences,
    fill_front,
    hypervolume,
    inverted_generational_distance_plus,
    non_dominated,
    simplex_preferences,
    trace_front,
)
from ib_analysis.pareto.problems import dtlz2, gaussian_wells, zdt2

pytest.importorskip("pymoo")


def test_a_concave_front_is_followed_with_warm_starts() -> None:
    preferences = circle_preferences(9)
    points = trace_front(gaussian_wells(20), preferences, torch.linspace(-0.2, 0.3, 20))
    losses = np.stack([point.losses for point in points])
    assert all(point.exact for point in points)
    assert len(non_dominated(losses)) == 9
    truth = np.stack([wells_losses(s) for s in np.linspace(-1, 1, 400)])
    assert np.linalg.norm(losses[:, None] - truth, axis=2).min(axis=1).max() < 5e-3  # as far as 400 points tell
    assert max(point.iterations for point in points[1:]) <= 25


def test_sparse_regions_are_filled_first() -> None:
    start = trace_front(zdt2(5), [[0.8, 0.2], [0.7, 0.3], [0.1, 0.9]], torch.full((5,), 0.4))
    gaps = _gaps(np.stack([point.losses for point in start]))
    points = fill_front(zdt2(5), start, 12)
    losses = np.stack([point.losses for point in points])
    assert len(points) == 12
    assert len(non_dominated(losses)) == 12
    assert np.abs(losses[:, 1] - (1 - losses[:, 0] ** 2)).max() < 1e-5  # f2 = 1 - f1^2
    assert _gaps(losses).max() < gaps.max() / 4
    truth = np.linspace(losses[:, 0].min(), losses[:, 0].max(), 200)
    front = np.stack([truth, 1 - truth**2], axis=1)
    distance = inverted_generational_distance_plus(losses, front)
    assert distance < inverted_generational_distance_plus(np.stack([point.losses for point in start]), front) / 4


def _gaps(losses: np.ndarray) -> np.ndarray:
    ordered = losses[np.argsort(losses[:, 0])]
    return np.linalg.norm(np.diff(ordered, axis=0), axis=1)


def test_three_losses_are_traced_and_filled() -> None:
    points = trace_front(dtlz2(6), simplex_preferences(3, 4), torch.full((6,), 0.45))
    assert all(point.exact for point in points)
    points = fill_front(dtlz2(6), points, 10)
    losses = np.stack([point.losses for point in points])
    assert len(points) == 10
    assert np.linalg.norm(losses, axis=1) == pytest.approx(np.ones(10), abs=1e-5)  # the unit sphere


def test_a_front_that_has_enough_points_is_left_as_it_is() -> None:
    wells = gaussian_wells(2)
    points = trace_front(wells, circle_preferences(4), torch.tensor([0.1, 0.2]))
    for count in (0, 3, 4):
        assert fill_front(wells, points, count) == points


def test_a_front_that_is_one_point_is_not_filled_for_ever() -> None:
    wells = gaussian_wells(2)
    same = trace_front(wells, [[1.0, 1.0], [1.0, 1.0]], torch.tensor([0.1, 0.2]))
    assert len(fill_front(wells, same, 5)) <= 2
    with pytest.raises(ValueError, match="no gaps"):
        fill_front(wells, same[:1], 5)


def test_hypervolume_of_a_known_set() -> None:
    rng = np.random.default_rng(0)
    points = rng.random((6, 2))
    grid = (np.arange(400) + 0.5) / 400
    cells = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1)
    dominated = (points[:, None, None] <= cells).all(-1).any(0)
    assert hypervolume(points, [1.0, 1.0]) == pytest.approx(dominated.mean(), abs=5e-3)
    kept = [i for i, p in enumerate(points) if not any((q <= p).all() and (q < p).any() for q in points)]
    assert non_dominated(points).tolist() == kept
