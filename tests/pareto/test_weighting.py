"""`EPOWeighting`: what it promises, what it keeps, what it refuses, and that torchjd can use it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ib_analysis.pareto import EPO, EPOWeighting, angle_degrees, circle_preferences, non_uniformity, simplex_preferences
from ib_analysis.pareto import weighting as module
from ib_analysis.pareto.preferences import (
    balance_anchor,
    rotation_anchor,
    rotation_non_uniformity,
)

positive = st.lists(st.floats(0.01, 100.0), min_size=2, max_size=6)


def gramian(m: int, seed: int = 0) -> Tensor:
    gradients = torch.randn(m, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return gradients @ gradients.T


@settings(deadline=None)
@given(positive, st.integers(0, 1000))
def test_the_anchors_turn_losses_towards_the_ray(losses: list[float], seed: int) -> None:
    """Orthogonal to the losses, not negative at the largest r l, and downhill for their measure of non-uniformity."""
    l = np.array(losses)  # noqa: E741
    r = np.exp(np.random.default_rng(seed).normal(size=len(l)))
    for anchor, measure in ((balance_anchor, non_uniformity), (rotation_anchor, rotation_non_uniformity)):
        a = anchor(l, r)
        scale = np.abs(a).max() * np.abs(l).max()
        assert abs(a @ l) <= 1e-9 * scale * len(l)
        assert a[np.argmax(r * l)] >= -1e-9 * np.abs(a).max()
        if measure(l, r) > 1e-3:
            step = 1e-4 * l.min() / np.abs(a).max()
            assert measure(l - step * a, r) < measure(l, r)


def test_balance_anchor_is_the_gradient_of_non_uniformity() -> None:
    losses, r = torch.tensor([0.3, 1.7, 0.9], dtype=torch.float64, requires_grad=True), np.array([1.0, 2.0, 0.5])
    weighted = torch.from_numpy(r) * losses
    share = weighted / weighted.sum()
    (share * torch.log(3 * share)).sum().backward()
    assert losses.grad is not None
    a = balance_anchor(losses.detach().numpy(), r)
    assert losses.grad.numpy() * float(weighted.sum().detach()) == pytest.approx(a)


def test_measures_vanish_on_the_ray_only() -> None:
    assert angle_degrees([2.0, 4.0], [2.0, 1.0]) == pytest.approx(0, abs=1e-9)
    assert angle_degrees([1.0, 0.0], [1e12, 1.0]) == pytest.approx(90)
    assert non_uniformity([1.0, 1e-9], [1.0, 1.0]) == pytest.approx(math.log(2), rel=1e-6)


def test_preferences_of_grids() -> None:
    grid = simplex_preferences(3, 8)
    assert len(grid) == 21
    assert all(r.sum() == pytest.approx(1) and (r > 0).all() for r in grid)
    steps = [np.abs(one - other).sum() for one, other in itertools.pairwise(grid)]
    assert max(steps) == pytest.approx(2 / 8)  # each is a neighbour of the one before
    with pytest.raises(ValueError, match="no inner point"):
        simplex_preferences(3, 2)
    for count, margin in ((0, 9), (3, 50)):
        with pytest.raises(ValueError, match="margin"):
            circle_preferences(count, margin)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-12, 1e12))
def test_only_the_relative_size_of_gradients_matters(seed: int, factor: float) -> None:
    weighting = EPOWeighting([1.0, 2.0, 3.0])
    weighting.set_losses([3.0, 1.0, 2.0])
    assert torch.allclose(weighting(gramian(3, seed)), weighting(factor * gramian(3, seed)), atol=1e-5)


@pytest.mark.parametrize("form", ["linear", "quadratic"])
def test_modes_and_counters(form: module.Form) -> None:
    weighting = EPOWeighting([1.0, 1.0], form=form)
    assert weighting.mode is None
    assert math.isnan(weighting.non_uniformity)
    weighting.set_losses([1.0, 3.0])
    weighting(gramian(2))
    assert weighting.mode == "balance"
    weighting.set_losses([1.0, 1.0])
    weights = weighting(gramian(2).float())
    assert weights.dtype == torch.float32
    assert not weights.requires_grad
    assert weighting.mode == "descent"
    assert (weighting.balance_steps, weighting.descent_steps, weighting.fallbacks) == (1, 1, 0)


def test_state_is_in_buffers() -> None:
    one, other = EPOWeighting([3.0, 1.0]), EPOWeighting([1.0, 1.0])
    one.set_losses([1.0, 4.0])
    expected = one(gramian(2))
    other.load_state_dict(one.state_dict())
    assert torch.equal(other(gramian(2)), expected)
    assert other.balance_steps == 2
    other.reset()
    assert (other.balance_steps, other.mode) == (0, None)
    assert other.preference.tolist() == [0.75, 0.25]
    assert repr(one) == (
        "EPOWeighting(preference=[0.75, 0.25], form='linear', tolerance=0.0001, restricted=True, average=0)"
    )


def test_losses_can_be_averaged() -> None:
    weighting = EPOWeighting([1.0, 1.0], average=0.75)
    weighting.set_losses([1.0, 2.0])
    assert weighting.losses.tolist() == [1.0, 2.0]
    weighting.set_losses([5.0, 2.0])
    assert weighting.losses.tolist() == [2.0, 2.0]
    assert weighting.non_uniformity == 0
    with pytest.raises(ValueError, match="average"):
        EPOWeighting([1.0, 1.0], average=1.0)


def test_a_failed_program_gives_the_preference_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ArithmeticError

    monkeypatch.setattr(module, "solve_on_simplex", lambda *_: None)
    monkeypatch.setattr(module, "shortest_combination", fails)
    weighting = EPOWeighting([3.0, 1.0])
    weighting.set_losses([1.0, 1.0])
    assert weighting(gramian(2)).tolist() == [0.75, 0.25]
    weighting.set_losses([1.0, 3.0])
    assert weighting(gramian(2)).tolist() == [0.75, 0.25]
    assert (weighting.fallbacks, weighting.relaxations) == (2, 2)


def test_what_is_refused() -> None:
    weighting = EPOWeighting([1.0, 1.0])
    with pytest.raises(ValueError, match="call set_losses"):
        weighting(gramian(2))
    for losses, sentence in (
        ([1.0], "shape"),
        ([1.0, 0.0], "Loss 1 is zero"),
        ([-2.0, 1.0], "Loss 0 is -2"),
        ([1.0, math.nan], "Loss 1 is nan"),
    ):
        with pytest.raises(ValueError, match=sentence):
            weighting.set_losses(losses)
    weighting.set_losses([1.0, 1.0])
    with pytest.raises(ValueError, match="gradient of loss 1 is not finite"):
        weighting(torch.tensor([[1.0, 0.0], [0.0, math.inf]]))
    with pytest.raises(ValueError, match="square"):
        weighting(gramian(3))
    for preference in ([], [1.0, -1.0], [1.0, math.inf], [[1.0]], [1.0] * 21):
        with pytest.raises(ValueError, match="preference"):
            EPOWeighting(preference)
    for words in (["a", "b"], "ab", [[1], [1, 2]]):
        with pytest.raises(ValueError, match="give a list of numbers"):
            EPOWeighting(words)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="give a list of numbers"):
        weighting.set_losses(["a", "b"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="3 entries"):
        weighting.set_preference([1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="form is 'cubic'"):
        EPOWeighting([1.0, 1.0], form="cubic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tolerance"):
        EPOWeighting([1.0, 1.0], tolerance=0.0)
    with pytest.raises(ValueError, match="Jacobian"):
        EPO(weighting)(torch.ones(2))


def test_the_aggregator_weights_the_rows() -> None:
    jacobian = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    aggregator = EPO(EPOWeighting([1.0, 2.0]))
    aggregator.weighting.set_losses([1.0, 1.0])
    expected = aggregator.weighting(jacobian @ jacobian.T) @ jacobian
    assert torch.allclose(aggregator(jacobian), expected)
    aggregator.reset()
    assert math.isnan(aggregator.weighting.non_uniformity)


def test_inside_the_aggregators_of_torchjd() -> None:
    aggregation = pytest.importorskip("torchjd.aggregation")
    weighting = EPOWeighting([1.0, 2.0])
    theirs = aggregation.GramianWeightedAggregator(weighting)
    jacobian = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    weighting.set_losses([1.0, 1.0])
    found = theirs(jacobian)
    ours = EPO(EPOWeighting([1.0, 2.0]))
    ours.weighting.set_losses([1.0, 1.0])
    assert torch.allclose(found, ours(jacobian), atol=1e-6)
    assert weighting.balance_steps == 1


def test_with_the_gramian_engine_of_torchjd() -> None:
    autogram = pytest.importorskip("torchjd.autogram")
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    engine = autogram.Engine(network, batch_dim=None)
    weighting = EPOWeighting([1.0, 2.0])
    losses = network(torch.randn(6, 3)).square().mean(0)
    weighting.set_losses(losses)
    losses.backward(weighting(engine.compute_gramian(losses)))
    assert all(parameter.grad is not None for parameter in network.parameters())
