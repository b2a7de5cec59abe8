"""Hypervolume, IGD+ and sorting of random sets with ties, in two and three objectives, against naive counts."""

from __future__ import annotations

import numpy as np
import pytest

from ib_analysis.pareto.quality import (
    hypervolume,
    inverted_generational_distance_plus,
    non_dominated,
    sorted_fronts,
)

pytest.importorskip("pymoo")

SIDE = 7


def random_sets(n_objectives: int):
    """Points on a grid of seven values, so that losses tie, some in all objectives."""
    rng = np.random.default_rng(n_objectives)
    for size in (1, 2, 5, 12, 30):
        for _ in range(4):
            yield rng.integers(0, SIDE, (size, n_objectives)), rng


@pytest.mark.parametrize("n_objectives", [2, 3])
def test_hypervolume_is_the_number_of_cells(n_objectives: int) -> None:
    """Points and the reference (some lie beyond it) are corners of cells, of which each is dominated or not."""
    cells = np.stack(np.meshgrid(*[np.arange(SIDE)] * n_objectives, indexing="ij"), axis=-1)
    for points, rng in random_sets(n_objectives):
        reference = rng.integers(1, SIDE + 1, n_objectives)
        dominated = (points[:, *[None] * n_objectives] <= cells).all(-1).any(0) & (cells < reference).all(-1)
        expected = dominated.sum() / SIDE**n_objectives
        assert hypervolume(points / SIDE, reference / SIDE) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n_objectives", [2, 3])
def test_igd_plus_is_its_definition(n_objectives: int) -> None:
    """Mean over the front's points z of min over a of |max(a - z, 0)| (Ishibuchi et al. 2015)."""
    for points, rng in random_sets(n_objectives):
        front = rng.integers(0, SIDE, (int(rng.integers(1, 9)), n_objectives))
        distances = [min(sum(max(x - y, 0) ** 2 for x, y in zip(a, z, strict=True)) ** 0.5 for a in points.tolist())
                     for z in front.tolist()]  # fmt: skip
        found = inverted_generational_distance_plus(points / SIDE, front / SIDE)
        assert found == pytest.approx(np.mean(distances) / SIDE, abs=1e-12)


@pytest.mark.parametrize("n_objectives", [2, 3])
def test_fronts_are_those_of_all_pairs(n_objectives: int) -> None:
    """Equal points do not dominate each other: they are in one front."""
    for points, _ in random_sets(n_objectives):
        left, expected = list(range(len(points))), []
        while left:
            best = [k for k in left if not any((points[j] <= points[k]).all() and (points[j] < points[k]).any()
                                               for j in left)]  # fmt: skip
            expected.append(best)
            left = [k for k in left if k not in best]
        assert [front.tolist() for front in sorted_fronts(points)] == expected
        assert non_dominated(points).tolist() == expected[0]
