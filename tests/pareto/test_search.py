"""The search, against Pareto points in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pareto_answers import CONSTRAINED, WELLS, wells_losses, wells_start
from torch import Tensor

from ib_analysis.pareto import Problem, SearchConfig, non_uniformity, search
from ib_analysis.pareto.optimality import residuals
from ib_analysis.pareto.problems import bnh, gaussian_wells, zdt1


@pytest.mark.parametrize("n_variables", [2, 20, 200])
@pytest.mark.parametrize("kind", ["easy", "hard"])
@pytest.mark.parametrize("preference", list(WELLS))
def test_points_of_the_wells(preference: tuple[float, float], kind: str, n_variables: int) -> None:
    s = WELLS[preference]
    point = search(gaussian_wells(n_variables), preference, wells_start(n_variables, s, kind))
    assert np.abs(point.losses - wells_losses(s)).max() < 1e-4
    assert float((point.x * math.sqrt(n_variables) - s).abs().max()) < 1e-3
    assert point.exact
    assert point.non_uniformity == pytest.approx(non_uniformity(point.losses, preference), abs=1e-12)


@pytest.mark.parametrize("preference", list(WELLS))
def test_ten_gradients_are_enough_from_an_easy_start(preference: tuple[float, float]) -> None:
    s = WELLS[preference]
    for seed in range(5):
        start = wells_start(20, s, "easy", seed)
        point = search(gaussian_wells(20), preference, start, SearchConfig(iterations=10))
        assert np.abs(point.losses - wells_losses(s)).max() < 1e-2


@pytest.mark.parametrize("name", list(CONSTRAINED))
def test_known_answers_under_constraints(name: str) -> None:
    known = CONSTRAINED[name]
    point = search(known.problem, known.preference, known.start)
    assert point.losses == pytest.approx(known.losses, rel=1e-5, abs=1e-5)
    assert point.residuals.infeasibility < 1e-6
    assert point.residuals.stationarity < 1e-3
    assert point.residuals.complementarity < 1e-6
    assert point.exact == known.exact
    assert ("no exact point" in point.message) == (not known.exact)
    assert ("minimises max r l" in point.message) == (not known.exact)
    assert (point.non_uniformity > 1e-3) == (not known.exact)


def test_the_residuals_see_what_is_no_pareto_point() -> None:
    point = search(gaussian_wells(4), [1.0, 1.0], torch.tensor([0.3, -0.2, 0.1, 0.5]), SearchConfig(iterations=1))
    assert point.residuals.stationarity > 0.1
    assert not point.exact
    assert "stopped after 1 iterations" in point.message
    assert "minimises" not in point.message


def test_a_search_that_has_not_ended_claims_nothing() -> None:
    """After two gradients the point is off the ray, though an exact one exists."""
    preference, s = next(iter(WELLS.items()))
    point = search(gaussian_wells(20), preference, wells_start(20, s, "hard"), SearchConfig(iterations=2))
    assert not point.exact
    assert "stopped after 2 iterations" in point.message
    assert "nor is max r l shown to be least" in point.message


@pytest.mark.parametrize("preference", [[1.0, 1.0], [3.0, 1.0]])
def test_a_plateau_is_no_pareto_point(preference: list[float]) -> None:
    """Far from both wells the losses are 1 and their gradients vanish, which proves nothing."""
    point = search(gaussian_wells(4), preference, torch.full((4,), 5.0))
    assert point.losses == pytest.approx([1.0, 1.0])
    assert "stalled" in point.message
    assert "minimises" not in point.message


def test_a_long_gradient_of_one_loss_hides_nothing() -> None:
    """ZDT1 so near its end that the gradient of f2 dwarfs all else: the search stalls at a point that is far from the
    exact one, f = (1e-5, .997), and must not take it for the minimum of max r l."""
    start = torch.rand(30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    point = search(zdt1(), [0.99999, 0.00001], start)
    assert point.losses[1] > 2
    assert point.residuals.stationarity < 1e-3  # in units of the longest gradient, which is why it shows nothing
    assert "stalled" in point.message
    assert "minimises" not in point.message


def test_sums_of_losses_miss_the_concave_part() -> None:
    """The control: what the search passes, linear scalarization fails."""
    problem = gaussian_wells(20)
    for preference, s in WELLS.items():
        x = wells_start(20, s, "easy").requires_grad_()
        optimizer = torch.optim.SGD([x], lr=0.5)
        for _ in range(150):
            optimizer.zero_grad()
            (torch.tensor(preference, dtype=torch.float64) @ problem.losses(x)).backward()
            optimizer.step()
        reached = problem.losses(x).detach().numpy()
        assert np.abs(reached - wells_losses(s)).max() > 0.1
        assert abs(float(x.detach().mean()) * math.sqrt(20)) > 0.95  # as the theory of the concave part says


@settings(deadline=None, max_examples=15)
@given(st.lists(st.floats(0.2, 5.0), min_size=3, max_size=3), st.integers(0, 1000))
def test_three_quadratics_end_on_the_ray_and_stationary(preference: list[float], seed: int) -> None:
    """Where the triangle of three minima holds an exact point, the residuals vanish there; else the search says so."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(3, 6, generator=generator, dtype=torch.float64)
    problem = Problem(lambda x: (x - centres).square().sum(1) + 0.01, 6, 3)
    point = search(problem, preference, torch.randn(6, generator=generator, dtype=torch.float64))
    assert point.exact == (point.non_uniformity <= 1e-6)
    # The minimum of max r l is stationary for the losses that reach it, exact or not.
    assert point.residuals.stationarity < 1e-3
    weighted = point.preference * point.losses
    loaded = point.weights > 1e-3
    assert weighted[loaded] == pytest.approx(np.full(loaded.sum(), weighted.max()), rel=1e-3)


def test_one_loss_under_a_budget_of_another() -> None:
    """The information bottleneck's form: the least l1 with l2 at most c."""
    wells = gaussian_wells(5)
    budget = float(wells_losses(0.3)[1])
    problem = Problem(lambda x: wells.losses(x)[:1], 5, 1, inequalities=lambda x: wells.losses(x)[1:] - budget)
    point = search(problem, [1.0], wells_start(5, 0.3, "hard"))
    assert point.losses == pytest.approx(wells_losses(0.3)[:1], abs=1e-5)
    assert point.residuals.infeasibility < 1e-6


def test_contradicting_constraints_end_at_the_least_infeasible_point() -> None:
    def both(x: Tensor) -> Tensor:
        return torch.stack([x[0] - 1, -x[0]])

    point = search(gaussian_wells(3, equalities=both), [1.0, 1.0], torch.zeros(3))
    assert "no feasible point" in point.message
    assert point.residuals.infeasibility == pytest.approx(0.5, abs=1e-6)  # half-way, where 1 was violated at the start


@pytest.mark.parametrize(
    ("preference", "sentence"),
    [([1.0], "1 entries"), ([1.0, 0.0], "above 0"), ([1.0, math.nan], "finite"), ([[1.0, 1.0]], "shape")],
)
def test_bad_preferences(preference: list, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        search(gaussian_wells(3), preference, torch.zeros(3))


@pytest.mark.parametrize("start", [torch.zeros(4), torch.zeros(1, 3), torch.full((3,), math.nan)])
def test_bad_starts(start: Tensor) -> None:
    with pytest.raises(ValueError, match="the problem needs 3 finite numbers"):
        search(gaussian_wells(3), [1.0, 1.0], start)


def test_bad_boxes() -> None:
    with pytest.raises(ValueError, match=r"upper bounds have shape \(2,\)"):
        gaussian_wells(3, upper=torch.ones(2))
    with pytest.raises(ValueError, match="empty"):
        gaussian_wells(3, lower=torch.ones(3), upper=torch.zeros(3))


def test_losses_that_are_not_positive_are_named() -> None:
    for value, word in ((0.0, "zero"), (-1.0, "-1"), (math.inf, "inf")):
        problem = Problem(lambda x, value=value: torch.stack([1 + x.square().sum(), 0 * x.sum() + value]), 2, 2)
        with pytest.raises(ValueError, match=rf"Loss 1 is {word}"):
            search(problem, [1.0, 1.0], torch.ones(2))


def test_an_infinite_gradient_is_named() -> None:
    problem = Problem(lambda x: torch.stack([1 + x.sqrt().sum(), 1 + x.square().sum()]), 2, 2)
    with pytest.raises(ValueError, match="gradient of loss 0 is not finite"):
        search(problem, [1.0, 1.0], torch.zeros(2))
    with pytest.raises(ValueError, match="gradient is not finite at this point"):
        residuals(zdt1(), torch.zeros(30, dtype=torch.float64))


@pytest.mark.parametrize("start", [(1.0, 1.0), (0.5, 0.5), (2.0, 0.1), (0.1, 2.0), (0.01, 0.3)])
def test_an_infinite_gradient_on_the_way_is_avoided(start: tuple[float, float]) -> None:
    """Both losses pull x_0 to its bound 0, where the root has an infinite slope."""

    def losses(x: Tensor) -> Tensor:
        return torch.stack([1 + x[0].sqrt() + (x[1] - 1) ** 2, 0.5 + x[1] ** 2 + 0.1 * x[0]])

    problem = Problem(losses, 2, 2, lower=torch.zeros(2, dtype=torch.float64))
    point = search(problem, [1.0, 1.0], torch.tensor(start))
    before = max(losses(torch.tensor(start)).tolist())
    assert max(point.losses) < before
    assert 0 < float(point.x[0]) < 1e-3
    assert "not finite" in point.message


@pytest.mark.parametrize("field", ["iterations", "decrease", "on_ray", "feasibility", "first_step"])
def test_settings_out_of_range(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        SearchConfig(**{field: 0})


def test_more_variables_than_a_matrix_is_kept_for() -> None:
    preference, s = next(iter(WELLS.items()))
    point = search(gaussian_wells(600), preference, wells_start(600, s, "easy"))
    assert np.abs(point.losses - wells_losses(s)).max() < 1e-3


def test_a_start_outside_the_constraints_is_brought_back() -> None:
    point = search(bnh(), [1.0, 1.0], torch.tensor([-3.0, 9.0]))
    assert point.losses == pytest.approx((22.222222, 22.222222), abs=1e-3)
