"""What users' models and loops do to exact Pareto optimal search: shared parts, casts, contradictions, mistakes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ib_analysis.pareto import EPO, Bounds, EPODescent, EPOWeighting, Problem, fill_front, search, trace_front
from ib_analysis.pareto.direction import projected_gramian
from ib_analysis.pareto.gradients import gramian
from ib_analysis.pareto.optimality import violation
from ib_analysis.pareto.preferences import angle_degrees, checked_preference, non_uniformity, rotation_non_uniformity


def pair(x: Tensor) -> Tensor:
    return torch.stack([(x - 1).square().sum() + 0.1, (x + 1).square().sum() + 0.1])


def descent_on(*parameters: Tensor, preference: tuple[float, ...] = (1.0, 1.0), lr: float = 0.05, **options):  # type: ignore[no-untyped-def]
    return EPODescent(torch.optim.SGD(list(parameters), lr=lr), EPOWeighting(preference), **options)


# ---------------------------------------------------------------------------------------------- shared parameters


@pytest.mark.parametrize("shared", [True, False])
def test_constraints_are_kept_by_all_parameters_whichever_are_shared(shared: bool) -> None:
    trunk, head = nn.Parameter(torch.tensor([1.0, 1.0])), nn.Parameter(torch.tensor([1.0, 2.0]))
    descent = descent_on(trunk, head, lr=0.1, **({"shared": [trunk]} if shared else {}))
    losses = [(trunk * head - 1).square().sum() + 0.1, (trunk * head + 1).square().sum()]
    done = descent.step(losses, equalities=[head.sum() - 2])
    assert abs(done.multipliers[0]) < 100
    assert head.sum().item() == pytest.approx(2.0, abs=1e-5)
    # An inequality mostly outside of what is shared.
    for _ in range(30):
        losses = [(trunk * head - 1).square().sum() + 0.1, (trunk * head + 1).square().sum() + 0.1]
        done = descent.step(losses, inequalities=[0.01 * trunk.sum() + head.sum() - 1])
    assert done.losses.max() < 20
    assert (0.01 * trunk.sum() + head.sum() - 1).item() < 1e-3


def test_weights_under_constraints_are_those_of_the_shared_part_of_projected_gradients() -> None:
    """Against the projection of the long vectors themselves."""
    rng = np.random.default_rng(0)
    rows, part = rng.normal(size=(5, 9)), slice(0, 4)
    losses, constraints = rows[:3], rows[3:]
    projected = losses - losses @ np.linalg.pinv(constraints) @ constraints
    found = projected_gramian(rows @ rows.T, 3, np.arange(2), rows[:, part] @ rows[:, part].T)
    np.testing.assert_allclose(found, projected[:, part] @ projected[:, part].T, atol=1e-12)
    np.testing.assert_allclose(projected_gramian(rows @ rows.T, 3, np.arange(2)), projected @ projected.T, atol=1e-12)
    # However little of the gradients the shared part is.
    small = rows * np.where(np.arange(9) < 4, 1e-7, 1.0)
    losses, constraints = small[:3], small[3:]
    projected = losses - losses @ np.linalg.pinv(constraints) @ constraints
    found = projected_gramian(small @ small.T, 3, np.arange(2), small[:, part] @ small[:, part].T)
    np.testing.assert_allclose(found, projected[:, part] @ projected[:, part].T, rtol=1e-6, atol=1e-18)


def test_a_shared_parameter_that_is_listed_twice_counts_once() -> None:
    one, other = nn.Parameter(torch.tensor([1.0, 2.0])), nn.Parameter(torch.tensor([3.0, -1.0]))
    found = []
    for shared in ([one], [one, one]):
        losses = [(one * other - 1).square().sum(), (one - other).square().sum() + one.square().sum()]
        found.append(descent_on(one, other, lr=0.0, shared=shared).backward(losses).weights.tolist())
    assert found[0] == found[1]


def test_parameters_that_are_frozen_freed_or_added_later_are_said() -> None:
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    descent = EPODescent(optimizer, EPOWeighting([1.0, 1.0]))
    model.bias.requires_grad_(False)
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="trains other parameters"):
        descent.step(model(x).square().mean(0))
    model.bias.requires_grad_(True)
    descent.step(model(x).square().mean(0))
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))]})
    with pytest.raises(ValueError, match="trains other parameters"):
        descent.step(model(x).square().mean(0))


# ---------------------------------------------------------------------------------------------- number formats


def test_contradicting_constraints_end_between_them_in_float32_as_in_float64() -> None:
    for dtype in (torch.float32, torch.float64):
        generator = torch.Generator().manual_seed(0)
        v = torch.randn(50, generator=generator).to(dtype)
        x = nn.Parameter(torch.randn(50, generator=generator).to(dtype))
        descent = descent_on(x, lr=0.01)
        for _ in range(100):
            descent.step(pair(x), inequalities=[x @ v / 3 - 1, 2 - x @ v / 3])
        assert (x @ v / 3).item() == pytest.approx(1.5, abs=0.05)
        y = nn.Parameter(torch.tensor([0.3, 0.7], dtype=dtype))
        descent = descent_on(y, lr=0.1)
        for _ in range(50):
            descent.step(pair(y), equalities=[y.sum() - 1, y.sum() - 2])
        assert y.sum().item() == pytest.approx(1.5, abs=0.05)


def test_a_task_given_twice_needs_no_fallback_in_float32() -> None:
    for dtype in (torch.float32, torch.float64):
        x = nn.Parameter(torch.tensor([2.0, -1.0], dtype=dtype))
        descent = descent_on(x, preference=(1.0, 1.0, 1.0))
        for _ in range(400):
            losses = pair(x)
            done = descent.step([losses[0], losses[0], losses[1]])
        assert descent.weighting.fallbacks == 0
        assert done.non_uniformity < 2e-4


@pytest.mark.parametrize(("m", "n"), [(2, 3), (2, 1), (3, 1), (12, 3)])
def test_gradients_that_cancel_but_for_rounding_need_no_fallback(m: int, n: int) -> None:
    rng = np.random.default_rng(m)
    for _ in range(50):
        rows = rng.normal(size=(m, n)).astype(np.float32)
        rows[-1] = -rows[0] * np.float32(rng.uniform(0.1, 10))
        weighting = EPOWeighting(np.ones(m))
        weighting.set_losses(np.ones(m))
        found = weighting.weights((rows @ rows.T).astype(np.float64))
        assert weighting.fallbacks == 0
        # Nothing rises but by rounding.
        assert ((rows @ rows.T) @ found).min() > -1e-5 * float((rows @ rows.T).max())


def test_a_model_that_is_cast_leaves_the_weightings_numbers_in_double_precision() -> None:
    model = nn.ModuleDict({"net": nn.Linear(2, 2), "weighting": EPOWeighting([0.3, 0.7])}).bfloat16()
    weighting = model["weighting"]
    assert isinstance(weighting, EPOWeighting)
    assert weighting.preference.tolist() == pytest.approx([0.3, 0.7], abs=1e-15)
    x = nn.Parameter(torch.ones(2))
    done = EPODescent(torch.optim.SGD([x], lr=0.1), weighting).step(pair(x) + 1)
    assert np.isfinite(done.weights).all()


def test_a_box_in_double_precision_blocks_parameters_in_single() -> None:
    found = []
    for lower in (torch.tensor([0.1, 0.1], dtype=torch.float64), torch.tensor([0.1, 0.1]), 0.1):
        x = nn.Parameter(torch.tensor([0.5, 0.5]))
        descent = descent_on(x, bounds=Bounds(lower=lower if isinstance(lower, float) else [lower]))
        for _ in range(60):
            descent.step([(x[0] + 1) ** 2 + (x[1] - 2) ** 2, (x[0] + 1) ** 2 + (x[1] + 2) ** 2])
        assert x.grad is not None
        found.append((x.tolist(), x.grad.tolist()))
    assert found[0] == found[1] == found[2]


def test_a_jacobian_in_bfloat16_is_weighed_in_single_precision() -> None:
    rows = torch.tensor([[96.3, 1.0, 0.3], [-1.7, 90.0, 0.2]]).bfloat16()
    update = []
    for jacobian in (rows, rows.float()):
        aggregator = EPO(EPOWeighting([1.0, 1.0]))
        aggregator.weighting.set_losses([1.0, 1.0])
        update.append(aggregator(jacobian).float())
    torch.testing.assert_close(update[0], update[1], rtol=1e-2, atol=1e-2)


def test_gradients_whose_squares_overflow_are_not_called_infinite() -> None:
    x = nn.Parameter(torch.ones(2))
    with pytest.raises(ValueError, match="too long for their number format"):
        descent_on(x).step([1e20 * (x + 1).square().sum(), x.square().sum() + 1])


# ---------------------------------------------------------------------------------------------- what is no number


def test_what_is_no_number_is_neither_on_the_ray_nor_feasible() -> None:
    for measure in (non_uniformity, rotation_non_uniformity, angle_degrees):
        assert math.isnan(measure([math.nan, 1.0], [1.0, 1.0]))
    assert non_uniformity([0.0, 1.0], [1.0, 1.0]) == pytest.approx(math.log(2))
    assert checked_preference([1e308, 1e308]).tolist() == [0.5, 0.5]
    problem = Problem(pair, 1, 2, inequalities=lambda x: torch.log(x) - 3)
    assert math.isnan(violation(problem, torch.tensor([-0.5], dtype=torch.float64)))
    with pytest.raises(ValueError, match="value of a constraint is not finite at the start"):
        search(problem, [1, 1], torch.tensor([-0.5]))
    assert search(problem, [1, 1], torch.tensor([0.5])).residuals.infeasibility == 0


def test_a_refused_step_leaves_the_weighting_as_it_was() -> None:
    x = nn.Parameter(torch.ones(3))
    descent = EPODescent(torch.optim.SGD([x], lr=0.01), EPOWeighting([1.0, 1.0], average=0.9))
    descent.step([(x + 1).square().sum(), (x - 2).square().sum()])
    before = {name: value.clone() for name, value in descent.weighting.state_dict().items()}
    for losses in ([(x * 0).sum().sqrt() + 100, (x - 2).square().sum()], [x.sum() * 0, (x - 2).square().sum()]):
        with pytest.raises(ValueError, match=r"not finite|Loss 0 is zero"):
            descent.step(losses)
    for name, value in descent.weighting.state_dict().items():
        assert torch.equal(value, before[name])


# ---------------------------------------------------------------------------------------------- search


@pytest.mark.parametrize("start", [0.1, -0.2])
@pytest.mark.parametrize("preference", [(1, 1), (2, 1), (1, 2)])
def test_a_vertex_at_which_nothing_is_left_of_the_gradients_is_an_end(start: float, preference: tuple) -> None:
    problem = Problem(pair, 1, 2, inequalities=lambda x: (0.5 - x[0] ** 2)[None])
    found = search(problem, preference, torch.tensor([start]))
    assert abs(found.x.item()) == pytest.approx(math.sqrt(0.5), abs=1e-6)
    assert found.residuals.infeasibility < 1e-8


def test_random_vertices_end_a_search() -> None:
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        a, b = torch.randn(2, 2, generator=generator).double(), torch.rand(2, generator=generator).double()
        found = search(
            Problem(pair, 2, 2, inequalities=lambda x, a=a, b=b: a @ x + b),  # type: ignore[misc]
            [1, 1],
            torch.randn(2, generator=generator),
        )
        assert found.residuals.infeasibility < 1e-6


def test_a_filled_front_has_every_point_once() -> None:
    points = trace_front(Problem(pair, 1, 2), [[1, 2], [1, 2]], torch.tensor([0.2]))
    assert len(fill_front(Problem(pair, 1, 2), points, 1)) == 1


# ---------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (lambda d, x: d.step(pair(x)[0]), "given as losses is no list of tensors"),
        (lambda d, x: d.step({"a": pair(x)[0]}), "given as losses is no list of tensors"),
        (lambda d, x: d.step([pair(x)[0], 0.5]), "given as losses is no list of tensors"),
        (lambda d, x: d.step(pair(x), inequalities=x.sum()), "given as inequalities is no list"),
        (lambda d, x: d.step(pair(x), equalities=[torch.tensor(0.3)]), "Constraint 0 has no gradient"),
        (lambda d, x: d.step(pair(x), equalities=[x.sum() * 1, x]), "Constraint 1 has shape"),
        (lambda d, x: EPODescent([x], EPOWeighting([1.0])), "The optimizer is of type list"),  # type: ignore[arg-type]
        (lambda d, x: EPODescent(torch.optim.SGD([x], lr=0.1, maximize=True), EPOWeighting([1.0])), "maximises"),
        (lambda d, x: descent_on(x, scale=math.inf), "finite and greater than 0"),
        (lambda d, x: descent_on(x, bounds=Bounds(lower="none")), "lower bound is 'none'"),  # type: ignore[arg-type]
        (lambda d, x: Bounds(upper=None), "upper bound is None"),  # type: ignore[arg-type]
        (lambda d, x: search(Problem(lambda y: y.sum(), 2, 1), [1], x), "losses of the problem give a tensor"),
        (lambda d, x: search(Problem(pair, 2, 2, equalities=lambda y: [y[0]]), [1, 1], x), "give list"),  # type: ignore
        (lambda d, x: trace_front(Problem(pair, 2, 2), [[1, 1], [1, 1, 1]], x), "Preference 1 has 3 entries"),
    ],
)  # fmt: skip
def test_a_mistake_gets_one_sentence(mistake, sentence: str) -> None:  # type: ignore[no-untyped-def]
    x = nn.Parameter(torch.tensor([0.3, 0.7]))
    with pytest.raises(ValueError, match=sentence) as caught:
        mistake(descent_on(x), x)
    assert "\n" not in str(caught.value)


def test_bounds_may_be_numbers_arrays_and_lists() -> None:
    x = torch.tensor([0.5, -3.0])
    for lower in (np.float32(-1.0), torch.tensor(-1.0), [np.array([-1.0, -1.0])], [torch.tensor([-1.0, -1.0])]):
        moved = x.clone()
        Bounds(lower=lower).clamp_([moved])  # type: ignore[arg-type]
        assert moved.tolist() == [0.5, -1.0]
    problem = Problem(pair, 2, 2, lower=[0, 0], upper=np.ones(2))  # type: ignore[arg-type]
    assert search(problem, [1, 1], torch.tensor([3.0, 3.0])).residuals.infeasibility == 0


def test_the_gram_matrix_of_no_parameter_is_zero() -> None:
    assert gramian([[torch.ones(2)]], places=[]).tolist() == [[0.0]]
