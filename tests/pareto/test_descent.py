"""The training loop's object: gradients, graphs, constraints, and where it leads."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pareto_answers import WELLS, wells_losses, wells_start
from torch import Tensor, nn

from ib_analysis.pareto import Bounds, EPODescent, EPOStep, EPOWeighting, Problem
from ib_analysis.pareto.problems import bnh, gaussian_wells


def descend(
    start: Tensor,
    weighting: EPOWeighting,
    steps: int,
    learning_rate: float,
    bounds: Bounds | None = None,
    problem=None,
    paper: bool = True,
) -> tuple[np.ndarray, list[EPOStep]]:
    """Plain gradient steps of the paper's size, 10 max(mu, 0.1) learning_rate."""
    problem = problem or gaussian_wells(len(start))
    x = start.double().clone().requires_grad_()
    optimizer = torch.optim.SGD([x], lr=learning_rate)
    descent = EPODescent(optimizer, weighting, scale=1.0, bounds=bounds)
    done = []
    for _ in range(steps):
        losses = problem.losses(x)
        if paper:
            weighting.set_losses(losses)
            optimizer.param_groups[0]["lr"] = 10 * max(weighting.non_uniformity, 0.1) * learning_rate
        done.append(
            descent.step(
                losses,
                equalities=[] if problem.equalities is None else problem.equalities(x).unbind(),
                inequalities=[] if problem.inequalities is None else problem.inequalities(x).unbind(),
            )
        )
    return problem.losses(x.detach()).numpy(), done


@pytest.mark.parametrize("n_variables", [2, 20, 200])
@pytest.mark.parametrize("kind", ["easy", "hard"])
@pytest.mark.parametrize("preference", list(WELLS))
def test_points_of_the_wells(preference: tuple[float, float], kind: str, n_variables: int) -> None:
    s = WELLS[preference]
    weighting = EPOWeighting(preference)
    reached, _ = descend(wells_start(n_variables, s, kind), weighting, 60, 0.1)
    assert np.abs(reached - wells_losses(s)).max() < 1e-2
    assert weighting.fallbacks == 0
    assert min(weighting.balance_steps, weighting.descent_steps) > 0


@pytest.mark.parametrize("n_variables", [2, 200])
def test_points_of_the_wells_with_a_tight_tolerance(n_variables: int) -> None:
    preference, s = next(iter(WELLS.items()))
    weighting = EPOWeighting(preference, tolerance=1e-6)
    reached, _ = descend(wells_start(n_variables, s, "easy"), weighting, 300, 0.02)
    assert np.abs(reached - wells_losses(s)).max() < 1e-3


@pytest.mark.parametrize("preference", list(WELLS))
def test_the_quadratic_form_comes_near_from_easy_starts(preference: tuple[float, float]) -> None:
    s = WELLS[preference]
    weighting = EPOWeighting(preference, form="quadratic", tolerance=1e-5)
    reached, _ = descend(wells_start(20, s, "easy"), weighting, 250, 0.1)
    assert np.abs(reached - wells_losses(s)).max() < 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("n_variables", [2, 20, 200])
@pytest.mark.parametrize("kind", ["easy", "hard"])
@pytest.mark.parametrize("preference", list(WELLS))
def test_the_quadratic_form_needs_a_thousand_steps_from_hard_starts(
    preference: tuple[float, float], kind: str, n_variables: int
) -> None:
    s = WELLS[preference]
    weighting = EPOWeighting(preference, form="quadratic", tolerance=1e-5)
    _, done = descend(wells_start(n_variables, s, kind), weighting, 1200, 0.1)
    # It goes on moving about the point: single steps lead up to .011 away from it.
    near = np.median([np.abs(step.losses - wells_losses(s)).max() for step in done[-100:]]) < 1e-2
    if (n_variables, kind, preference) == (2, "hard", list(WELLS)[-1]):
        assert not near  # its first step, with a weight of -1, leads out onto the plateau beside both wells
    else:
        assert near


def test_a_model_goes_from_one_preference_to_the_next() -> None:
    """The recipe of docs/pareto.md, section 4: the same parameters go on, with another preference."""
    x = wells_start(20, 0.6, "easy").requires_grad_()
    weighting = EPOWeighting(next(iter(WELLS)))
    descent = EPODescent(torch.optim.SGD([x], lr=0.1), weighting)
    problem = gaussian_wells(20)
    for preference, s in WELLS.items():
        weighting.set_preference(preference)
        for _ in range(60):
            done = descent.step(problem.losses(x))
        assert np.abs(done.losses - wells_losses(s)).max() < 1e-2
    assert weighting.fallbacks == 0


@pytest.mark.slow
@pytest.mark.parametrize("n_variables", [2, 20, 200])
@pytest.mark.parametrize("kind", ["easy", "hard"])
@pytest.mark.parametrize("preference", list(WELLS))
def test_all_points_of_the_wells_with_a_tight_tolerance(
    preference: tuple[float, float], kind: str, n_variables: int
) -> None:
    s = WELLS[preference]
    weighting = EPOWeighting(preference, tolerance=1e-6)
    reached, _ = descend(wells_start(n_variables, s, kind), weighting, 1200, 0.02)
    assert np.abs(reached - wells_losses(s)).max() < 1e-3


def test_the_largest_of_three_weighted_losses_never_rises_along_an_equality() -> None:
    """Small steps on a plane that the start lies on, where the promise holds (docs/pareto.md, section 2)."""
    centres = 2 * torch.eye(3, 6, dtype=torch.float64)
    problem = Problem(lambda x: (x - centres).square().sum(1), 6, 3, equalities=lambda x: x[3:4] - x[4:5])
    preference = np.array([1.0, 1.5, 3.0])
    start = torch.tensor([0.1, 1.5, 0.3, 0.4, 0.4, -0.2], dtype=torch.float64)
    _, done = descend(start, EPOWeighting(preference), 80, 0.002, problem=problem, paper=False)
    largest = [max(preference * step.losses) for step in done]
    assert max(np.diff(largest)) <= 1e-12
    assert largest[-1] < 0.9 * largest[0]
    assert any(np.diff([step.losses for step in done], axis=0).max(axis=0) > 1e-4)


@pytest.mark.parametrize("kind", ["easy", "hard"])
def test_the_largest_weighted_loss_never_rises(kind: str) -> None:
    for preference, s in list(WELLS.items())[:2]:
        _, done = descend(wells_start(20, s, kind), EPOWeighting(preference), 60, 0.02)
        largest = [max(preference * step.losses) for step in done]
        assert max(np.diff(largest)) <= 1e-12
        assert any(np.diff([step.losses for step in done], axis=0).max(axis=0) > 1e-4)  # though single losses do


def test_three_losses() -> None:
    """Three quadratics around a triangle: the stationary points are the triangle, and the exact point is inside."""
    centres = torch.eye(3, 6, dtype=torch.float64)
    preference = np.array([1.0, 1.5, 2.0])
    weighting = EPOWeighting(preference, tolerance=1e-5)
    x = torch.full((6,), 0.4, dtype=torch.float64, requires_grad=True)
    descent = EPODescent(torch.optim.SGD([x], lr=0.02), weighting)
    for _ in range(300):
        done = descent.step((x - centres).square().sum(1))
    weighted = preference * done.losses
    assert weighted / weighted.mean() == pytest.approx(np.ones(3), abs=2e-2)
    inside = x.detach()[:3]
    assert float(inside.sum()) == pytest.approx(1, abs=2e-2)
    assert float(inside.min()) > 0
    assert float(x.detach()[3:].abs().max()) < 1e-2


def test_a_constraint_that_is_no_parameter_box() -> None:
    """The oblique inequality: the step's direction obeys it, and no clamp does anything."""
    preference, _ = next(iter(WELLS.items()))
    problem = gaussian_wells(20, inequalities=lambda x: (x.sum() / math.sqrt(20) - 0.4)[None])
    reached, done = descend(wells_start(20, -0.1, "easy"), EPOWeighting(preference), 200, 0.1, problem=problem)
    assert reached == pytest.approx((0.302323674, 0.859141579), abs=1e-2)
    assert done[-1].multipliers[0] > 0


def test_an_equality_is_kept() -> None:
    preference = list(WELLS)[1]
    problem = gaussian_wells(20, equalities=lambda x: x[:1])
    reached, _ = descend(wells_start(20, 0.1, "easy"), EPOWeighting(preference), 120, 0.05, problem=problem)
    assert reached == pytest.approx((0.488973604, 0.752953757), abs=1e-2)


def test_a_box_of_parameters() -> None:
    weighting = EPOWeighting([0.08, 1.0], tolerance=1e-6)
    problem = bnh()
    assert problem.lower is not None
    assert problem.upper is not None
    x = torch.tensor([1.0, 1.0], dtype=torch.float64, requires_grad=True)
    descent = EPODescent(torch.optim.SGD([x], lr=0.002), weighting, bounds=Bounds([problem.lower], [problem.upper]))
    for _ in range(600):
        descent.step(problem.losses(x))
    assert float(x.detach()[1]) == 3.0
    assert problem.losses(x).detach().numpy() == pytest.approx((82.142951961, 6.571436157), rel=1e-2)


class TwoTasks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
        self.heads = nn.ModuleList([nn.Linear(4 * 36, 3), nn.Linear(4 * 36, 2)])

    def losses(self, seed: int = 0) -> list[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        images = torch.randn(16, 1, 8, 8, generator=generator)
        labels = [torch.randint(n, (16,), generator=generator) for n in (3, 2)]
        code = self.trunk(images)
        return [nn.functional.cross_entropy(head(code), y) for head, y in zip(self.heads, labels, strict=True)]


@pytest.fixture
def model() -> TwoTasks:
    torch.manual_seed(0)
    return TwoTasks()


def test_the_gradient_is_that_of_the_weighted_loss(model: TwoTasks) -> None:
    descent = EPODescent(torch.optim.SGD(model.parameters(), lr=0.1), EPOWeighting([3.0, 1.0]))
    done = descent.backward(model.losses())
    found = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    assert len(found) == len(list(model.parameters()))
    assert done.weights.sum() == pytest.approx(2.0)
    model.zero_grad()
    sum(float(weight) * loss for weight, loss in zip(done.weights, model.losses(), strict=True)).backward()
    for ours, parameter in zip(found, model.parameters(), strict=True):
        assert parameter.grad is not None
        assert torch.allclose(ours, parameter.grad, atol=1e-6)


def test_one_forward_pass_for_batch_normalisation_and_no_graph_left(model: TwoTasks) -> None:
    descent = EPODescent(torch.optim.SGD(model.parameters(), lr=0.1), EPOWeighting([1.0, 1.0]))
    losses = model.losses()
    descent.backward(losses)
    normalisation = model.trunk[1]
    assert isinstance(normalisation, nn.BatchNorm2d)
    assert normalisation.num_batches_tracked is not None
    assert int(normalisation.num_batches_tracked) == 1
    for loss in losses:
        with pytest.raises(RuntimeError, match="second time"):
            loss.backward()


@pytest.mark.parametrize("n_constraints", [0, 2])
def test_a_step_takes_one_backward_pass_per_loss_and_constraint(
    model: TwoTasks, n_constraints: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes, grad = [], torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *given, **how: passes.append(given[0]) or grad(*given, **how))
    monkeypatch.setattr(torch.autograd, "backward", lambda *_, **__: pytest.fail("a pass that nobody counts"))
    descent = EPODescent(torch.optim.SGD(model.parameters(), lr=0.1), EPOWeighting([1.0, 1.0]))
    losses = model.losses()
    descent.step(losses, inequalities=[loss - 3 for loss in losses[:n_constraints]])
    assert len(passes) == 2 + n_constraints
    assert passes[:2] == losses


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam, torch.optim.RMSprop])
def test_any_optimizer_balances_a_network(model: TwoTasks, make: type[torch.optim.Optimizer]) -> None:
    preference = np.array([1.0, 2.0])
    descent = EPODescent(make(model.parameters(), lr=0.003), EPOWeighting(preference))  # type: ignore[call-arg]
    done = [descent.step(model.losses()) for _ in range(60)]
    assert done[-1].non_uniformity < done[0].non_uniformity / 4
    assert max(preference * done[-1].losses) < max(preference * done[0].losses)


def test_shared_parameters_alone_make_the_gram_matrix(model: TwoTasks) -> None:
    weighting = EPOWeighting([1.0, 1.0])
    losses = model.losses()
    trunk = list(model.trunk.parameters())
    rows = [
        torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, trunk, retain_graph=True)])
        for loss in losses
    ]
    jacobian = torch.stack(rows)
    weighting.set_losses(losses)
    expected = 2 * weighting(jacobian @ jacobian.T)
    descent = EPODescent(torch.optim.SGD(model.parameters(), lr=0.1), EPOWeighting([1.0, 1.0]), shared=trunk)
    assert descent.backward(losses).weights == pytest.approx(expected.numpy(), abs=1e-5)


def test_gradients_that_are_not_finite_are_seen_outside_the_shared_parameters() -> None:
    """The root of a head at 0 has an infinite slope, of which the trunk's Gram matrix knows nothing."""
    trunk, head = torch.ones(2, requires_grad=True), torch.zeros(2, requires_grad=True)
    descent = EPODescent(torch.optim.SGD([trunk, head], lr=0.1), EPOWeighting([1.0, 1.0]), shared=[trunk])
    with pytest.raises(ValueError, match="gradient of loss 1 is not finite"):
        descent.step([1 + trunk.square().sum(), 1 + head.sqrt().sum() + trunk.sum()])
    with pytest.raises(ValueError, match="gradient of constraint 0 is not finite"):
        descent.step(
            [1 + trunk.square().sum(), 2 + (trunk * (1 + head)).sum()], inequalities=[head.sqrt().sum() - trunk.sum()]
        )
    assert head.tolist() == [0.0, 0.0]


def test_a_budget_in_a_network(model: TwoTasks) -> None:
    """Least first loss, with the second at most 0.6: it is kept below after training, and both are trained."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    descent = EPODescent(optimizer, EPOWeighting([1.0]), restoration=5.0)
    for _ in range(150):
        first, second = model.losses()
        done = descent.step([first], inequalities=[second - 0.6])
    first, second = model.losses()
    assert float(second.detach()) < 0.61
    assert float(first.detach()) < 0.5
    assert done.weights.shape == (1,)


def test_what_is_refused(model: TwoTasks) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    descent = EPODescent(optimizer, EPOWeighting([1.0, 1.0]))
    first, second = model.losses()
    with pytest.raises(ValueError, match="Loss 1 is zero"):
        descent.step([first, second * 0])
    with pytest.raises(ValueError, match="shape"):
        descent.step([first, second, first])
    with pytest.raises(ValueError, match="no gradient"):
        descent.step([first, second.detach()])
    with pytest.raises(ValueError, match="none of the parameters"):
        descent.step([first, torch.ones((), requires_grad=True) + 1])
    with pytest.raises(ValueError, match="constraint is not finite"):
        descent.step([first, second], inequalities=[first * math.nan])
    x = torch.zeros(2, requires_grad=True)
    with pytest.raises(ValueError, match="gradient of loss 0 is not finite"):
        EPODescent(torch.optim.SGD([x], lr=0.1), EPOWeighting([1.0, 1.0])).step([1 + x.sqrt().sum(), 1 + x.sum()])
    with pytest.raises(ValueError, match="not among those"):
        EPODescent(optimizer, EPOWeighting([1.0, 1.0]), shared=[x])
    with pytest.raises(ValueError, match="no shared parameter"):
        EPODescent(optimizer, EPOWeighting([1.0, 1.0]), shared=[])
    with pytest.raises(ValueError, match="greater than 0"):
        EPODescent(optimizer, EPOWeighting([1.0, 1.0]), scale=0.0)
    with pytest.raises(ValueError, match="give an EPOWeighting"):
        EPODescent(optimizer, [1.0, 1.0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="LBFGS computes the losses anew"):
        EPODescent(torch.optim.LBFGS([x]), EPOWeighting([1.0, 1.0]))
    embedding = nn.Embedding(5, 3, sparse=True)
    sparse = EPODescent(torch.optim.SGD(embedding.parameters(), lr=0.1), EPOWeighting([1.0, 1.0]))
    with pytest.raises(ValueError, match="Loss 0 has a sparse gradient"):
        sparse.step([1 + embedding(torch.tensor([place])).sum().square() for place in range(2)])


def test_boxes_that_are_refused() -> None:
    one, other = torch.zeros(2, requires_grad=True), torch.zeros(3, requires_grad=True)
    with pytest.raises(ValueError, match="empty"):
        Bounds(1.0, 0.0)
    with pytest.raises(ValueError, match="empty"):
        Bounds([torch.ones(2)], [torch.zeros(2)])
    with pytest.raises(ValueError, match="1 lower and 2 upper bounds"):
        Bounds([torch.zeros(2)], [torch.ones(2), torch.ones(3)])
    with pytest.raises(ValueError, match="upper"):
        Bounds([torch.zeros(2)], [torch.ones(3)])
    optimizer = torch.optim.SGD([one, other], lr=0.1)
    for wrong in ([torch.zeros(2)], [torch.zeros(2), torch.zeros(2)]):
        with pytest.raises(ValueError, match=r"lower bounds have the shapes \[\(2,\)"):
            EPODescent(optimizer, EPOWeighting([1.0, 1.0]), bounds=Bounds(wrong))
