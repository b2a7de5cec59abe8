"""The fitted power law: exact on exact curves, against a brute-force search, and how often its interval is right."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from decoders.fitting.power_law import FASTEST, FEWEST_POINTS, SLOWEST, fit_power_law

STEPS = np.linspace(250, 1000, 16)


def curve(gain: float, exponent: float, steps: np.ndarray = STEPS) -> np.ndarray:
    return 20 + gain * (steps / steps[-1]) ** -exponent


@given(
    st.floats(-100, 1000), st.floats(0.01, 50), st.floats(1.05 * SLOWEST, 0.95 * FASTEST), st.integers(6, 40),
    st.floats(0.001, 0.5),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_an_exact_curve_is_met_exactly(asymptote: float, gain: float, exponent: float, n: int, first: float) -> None:
    steps = np.linspace(first, 1, n) * 7000
    bits = asymptote + gain * (steps / 7000) ** -exponent
    law = fit_power_law(steps, bits)
    assert law.gain == pytest.approx(gain, rel=1e-4)
    assert law.exponent == pytest.approx(exponent, rel=1e-4)
    # A steep curve begins at up to 1e12 bits, of which float64 keeps sixteen digits.
    assert law.asymptote == pytest.approx(asymptote, abs=1e-4 * (gain + 1) + 1e-14 * bits.max())
    assert law.gain_low == pytest.approx(gain, rel=1e-3)
    assert law.gain_high == pytest.approx(gain, rel=1e-3)
    assert law.identified


@given(st.integers(0, 10_000), st.floats(-500, 500), st.floats(1e-3, 1e3), st.floats(1e-2, 1e4))
@settings(max_examples=60, deadline=None)
def test_shifting_and_scaling_bits_and_scaling_steps_do_the_same_to_the_fit(
    seed: int, shift: float, scale: float, pace: float
) -> None:
    bits = curve(1.0, 0.7) + 0.05 * np.random.default_rng(seed).normal(size=len(STEPS))
    law, other = fit_power_law(STEPS, bits), fit_power_law(pace * STEPS, shift + scale * bits)
    tolerance = {"rel": 1e-4, "abs": 1e-6 * scale + 1e-9 * abs(shift)}
    assert other.gain == pytest.approx(scale * law.gain, **tolerance)
    assert other.gain_low == pytest.approx(scale * law.gain_low, **tolerance)
    assert other.gain_high == pytest.approx(scale * law.gain_high, **tolerance)
    assert other.asymptote == pytest.approx(shift + scale * law.asymptote, **tolerance)
    assert other(pace * STEPS) == pytest.approx(shift + scale * law(STEPS), **tolerance)
    assert other.identified == law.identified


def test_estimate_and_interval_are_those_of_a_naive_search_over_all_parameters() -> None:
    bits = curve(1.0, 0.8) + 0.02 * np.random.default_rng(3).normal(size=len(STEPS))
    law = fit_power_law(STEPS, bits)
    relative = STEPS / STEPS[-1]
    costs: dict[float, float] = {}
    for gain, exponent in itertools.product(np.arange(0, 4, 0.005), np.geomspace(SLOWEST, FASTEST, 200)):
        rest = bits - gain * relative**-exponent
        cost = float(((rest - rest.mean()) ** 2).sum())
        costs[gain] = min(cost, costs.get(gain, np.inf))
    best = min(costs, key=costs.__getitem__)
    residual = bits - law(STEPS)
    r = (residual[1:] @ residual[:-1]) / (residual @ residual)
    r = min(max(r + (1 + 4 * r) / 16, 0.5), 0.9)
    limit = costs[best] * (1 + (1 + r) / (1 - r) * stats.f.ppf(0.95, 1, 13) / 13)
    inside = [gain for gain, cost in costs.items() if cost <= limit]
    assert law.gain == pytest.approx(best, abs=0.02)
    assert law.gain_low == pytest.approx(min(inside), abs=0.02)
    assert law.gain_high == pytest.approx(max(inside), abs=0.02)


def test_a_flat_curve_has_nothing_to_gain_and_a_rising_one_neither() -> None:
    flat = fit_power_law(STEPS, np.full(len(STEPS), 7.0))
    assert (flat.gain, flat.gain_low, flat.gain_high, flat.asymptote) == pytest.approx((0, 0, 0, 7))
    rising = fit_power_law(STEPS, curve(-1.0, 0.7))
    assert rising.gain == 0
    assert rising.gain_low == 0


@pytest.mark.parametrize("bits", [20 - STEPS / 1000, 20 - np.log(STEPS), 20 - (STEPS / 1000) ** 2])
def test_a_fall_that_does_not_slow_down_has_no_asymptote(bits: np.ndarray) -> None:
    assert not fit_power_law(STEPS, bits).identified


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 6"):
        fit_power_law(STEPS[: FEWEST_POINTS - 1], STEPS[: FEWEST_POINTS - 1])


def coverage(n: int, correlation: float, exponent: float, gain: float, repeats: int = 300) -> float:
    """How often the 95 % interval holds the true gain, with noise of 0.03 bits and a given lag-one correlation."""
    rng, steps, hits = np.random.default_rng(0), np.linspace(0.25, 1, n), 0
    for _ in range(repeats):
        noise = rng.normal(size=n)
        for k in range(1, n):
            noise[k] = correlation * noise[k - 1] + np.sqrt(1 - correlation**2) * noise[k]
        law = fit_power_law(steps, curve(gain, exponent, steps) + 0.03 * noise)
        hits += law.gain_low <= gain and (gain <= law.gain_high or not law.identified)
    return hits / repeats


@pytest.mark.parametrize("n", [8, 15, 30])
@pytest.mark.parametrize(("exponent", "gain"), [(0.5, 1.0), (1.0, 0.5), (1.0, 0.0), (2.0, 0.3)])
@pytest.mark.parametrize(("correlation", "least"), [(0.0, 0.97), (0.5, 0.88), (0.8, 0.70)])
def test_coverage_is_as_documented(n: int, exponent: float, gain: float, correlation: float, least: float) -> None:
    assert coverage(n, correlation, exponent, gain) >= least
