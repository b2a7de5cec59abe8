"""Bounds of activations against a naive float64 version; when they are set, and that they stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ib_analysis.quantization.bounds import ActivationBounds, start_step


def batches(steps: int, channels: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    found = [torch.randn(4, channels, 3, 3, generator=generator) * (1 + step) for step in range(steps)]
    for x in found:
        x[:, 0].clamp_(min=0)  # as after a ReLU
        x[:, 1] = 0  # a dead channel
    found[2][0, 2, 0, 0] = torch.inf
    found[3][0, 2, 0, 0] = torch.nan
    return found


def naive(found: list[torch.Tensor]) -> np.ndarray:
    """Per channel: the moving averages of the maxima and minima of what is not zero; those that are not finite count
    for nothing. float64."""
    result = []
    for channel in range(found[0].shape[1]):
        high = low = 0.0
        for x in found:
            values = [float(value) for value in x[:, channel].flatten() if value != 0]
            if values and np.isfinite(np.max(values)):
                high += 0.1 * (max(values) - high)
            if values and np.isfinite(np.min(values)):
                low += 0.1 * (min(values) - low)
        result.append(max(abs(high), abs(low)))
    return np.array(result)


def test_bounds_are_the_moving_averages_at_the_start_step() -> None:
    found = batches(8, 4)
    bounds = ActivationBounds(4, start=5)
    for step, x in enumerate(found):
        assert bounds.are_set == (step > 5)
        bounds.watch(x)
    np.testing.assert_allclose(bounds.bound.numpy(), naive(found[:6]), rtol=1e-5)
    assert bounds.bound[1] == 0, "a channel that is always zero has no bound"


def test_bounds_are_frozen_once_set() -> None:
    bounds = ActivationBounds(2, start=1)
    for _ in range(2):
        bounds.watch(torch.ones(3, 2))
    before = {name: value.clone() for name, value in bounds.state_dict().items()}
    bounds.watch(100 * torch.ones(3, 2))
    assert all(torch.equal(value, before[name]) for name, value in bounds.state_dict().items())


def test_a_checkpoint_of_an_earlier_step_goes_on_from_there() -> None:
    found = batches(6, 3)
    straight, resumed = ActivationBounds(3, start=4), ActivationBounds(3, start=4)
    for x in found[:3]:
        straight.watch(x)
    kept = {name: value.clone() for name, value in straight.state_dict().items()}
    for x in found[3:]:
        straight.watch(x)
        resumed.watch(x)
        resumed.watch(x)
    assert straight.are_set
    assert resumed.are_set
    resumed.load_state_dict(kept)
    assert not resumed.are_set
    for x in found[3:]:
        resumed.watch(x)
    assert torch.equal(straight.bound, resumed.bound)


def test_per_tensor_bounds_are_the_largest_of_the_channels() -> None:
    single, several = (ActivationBounds(3, start=2, per_tensor=per_tensor) for per_tensor in (True, False))
    for x in batches(4, 3)[:3]:
        single.watch(x)
        several.watch(x)
    assert single.bound.tolist() == [float(several.bound.max())] * 3


@pytest.mark.parametrize(("steps", "expected"), [(150_001, 7500), (150_000, 7500), (2000, 100), (999, 50), (0, 50)])
def test_start_step(steps: int, expected: int) -> None:
    assert start_step(steps) == expected
