"""Averaged weights against the closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from decoders.fitting.averaging import averaging_weight, update_average
from decoders.fitting.schedule import FittingConfig, cooldown_start, learning_rate


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.9995])
def test_exponential_average_with_bias_correction(decay):
    values = torch.randn(60, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    average = torch.full((7,), 1e6, dtype=torch.float64)
    for t, value in enumerate(values, 1):
        update_average(average, value, t, decay)
        weights = (1 - decay) * decay ** np.arange(t - 1, -1, -1.0) / (1 - decay**t)
        assert weights.sum() == pytest.approx(1)
        expected = torch.from_numpy(weights) @ values[:t]
        assert torch.allclose(average, expected, rtol=1e-9, atol=1e-12), "the start value has no weight at all"


def test_polynomial_average_forgets_the_start():
    # Weights of eta-averaging at eta = 1 rise linearly: 2 i / (t (t + 1)) for the i-th of t values.
    values = torch.randn(40, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    average = torch.zeros(3, dtype=torch.float64)
    for t, value in enumerate(values, 1):
        update_average(average, value, t, decay=0.999999, power=1.0)
    rising = torch.arange(1, 41, dtype=torch.float64)
    assert torch.allclose(average, rising @ values / rising.sum(), rtol=1e-5)


@given(st.integers(1, 10**7), st.floats(0, 0.999999), st.floats(0, 100))
def test_weight_is_a_weight_and_tends_to_the_exponential_one(update, decay, power):
    weight = averaging_weight(update, decay, power)
    assert max(1 - decay, 1e-9) * (1 - 1e-9) <= weight <= 1


def test_schedule_matches_its_formula():
    config = FittingConfig(steps=1000, learning_rate=2e-3, lr_decay_per_step=0.999, warmup_steps=10, cooldown_share=0.3)
    assert cooldown_start(config) == 700
    for step in range(1000):
        warm = min(1, (step + 1) / 10)
        cool = min(1, (1000 - step) / 300)
        assert learning_rate(config, step) == pytest.approx(2e-3 * 0.999**step * warm * cool)


def test_defaults_are_those_of_the_paper():
    config = FittingConfig()
    assert (config.betas, config.averaging) == ((0.95, 0.9995), 0.9995)
    assert learning_rate(config, 0) == 1e-3
    assert learning_rate(config, 9999) == pytest.approx(1e-3 * 0.999995**9999)


@pytest.mark.parametrize(
    ("field", "value"),
    [("steps", 0), ("null_share", 1.5), ("learning_rate", 0.0), ("averaging", 1.0), ("precision", "float16")],
)
def test_values_out_of_range_are_named(field, value):
    with pytest.raises(ValueError, match=f"fitting setting {field} is {value}"):
        FittingConfig(**{field: value})
