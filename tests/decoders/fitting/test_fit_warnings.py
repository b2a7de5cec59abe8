"""When a validation curve counts as converged."""

import numpy as np
import pytest

from decoders.fitting.warnings import (
    EXPLANATIONS,
    NAN_RECOVERED,
    TRAINING_TOO_SHORT_TO_TELL,
    VALIDATION_CODE_LENGTH_STILL_FALLING,
    curve_warnings,
    expected_gain,
)

STEPS = np.arange(1, 31) * 100


def test_gain_of_a_straight_line_is_exact():
    gain, error = expected_gain(STEPS, 500 - 0.02 * STEPS)
    assert gain == pytest.approx(0.02 * 1000)
    assert error == pytest.approx(0, abs=1e-9)


def test_gain_and_error_are_those_of_ordinary_regression():
    rng = np.random.default_rng(0)
    bits = 50 - 0.001 * STEPS + rng.normal(size=30)
    last = STEPS >= 2000
    design = np.stack([np.ones(last.sum()), STEPS[last]], 1)
    coefficients, residual, _, _ = np.linalg.lstsq(design, bits[last], rcond=None)
    covariance = residual[0] / (last.sum() - 2) * np.linalg.inv(design.T @ design)
    gain, error = expected_gain(STEPS, bits)
    assert gain == pytest.approx(-coefficients[1] * 1000)
    assert error == pytest.approx(np.sqrt(covariance[1, 1]) * 1000)


@pytest.mark.parametrize(
    ("fall", "level", "warned"), [(0.6, 20, True), (0.4, 20, False), (6, 1000, True), (4, 1000, False)]
)
def test_threshold_is_half_a_bit_or_half_a_percent(fall, level, warned):
    bits = level + fall * (30 - np.arange(1, 31)) / 10  # falls by `fall` in each third
    assert (VALIDATION_CODE_LENGTH_STILL_FALLING in curve_warnings(STEPS, bits)) is warned


def test_a_fall_within_the_noise_is_no_fall():
    noise = np.where(np.arange(30) % 2, 4.0, -4.0)
    bits = 20 - 0.0006 * STEPS + noise
    gain, error = expected_gain(STEPS, bits)
    assert error > gain > 0.5
    assert curve_warnings(STEPS, bits) == ()


def test_rising_and_flat_curves_are_converged():
    assert curve_warnings(STEPS, 20 + 0.01 * STEPS) == ()
    assert curve_warnings(STEPS, np.full(30, 20.0)) == ()


def test_cool_down_is_left_out():
    bits = np.where(STEPS <= 2000, 100.0, 100 - (STEPS - 2000) * 0.02)
    assert curve_warnings(STEPS, bits) == (VALIDATION_CODE_LENGTH_STILL_FALLING,)
    assert curve_warnings(STEPS, bits, steady_until=2000) == ()


def test_few_points_are_too_few():
    assert curve_warnings(STEPS[:4], [9.0, 5, 4, 4]) == (TRAINING_TOO_SHORT_TO_TELL,)
    assert curve_warnings(STEPS[:5], [9.0, 5, 4, 4, 4]) == ()
    assert curve_warnings(STEPS[:5], [np.inf, 5, 4, 4, 4]) == (TRAINING_TOO_SHORT_TO_TELL,)
    assert curve_warnings(STEPS, np.full(30, 5.0), steady_until=400) == (TRAINING_TOO_SHORT_TO_TELL,)


def test_every_warning_is_explained_in_one_sentence():
    assert set(EXPLANATIONS) == {
        NAN_RECOVERED,
        TRAINING_TOO_SHORT_TO_TELL,
        VALIDATION_CODE_LENGTH_STILL_FALLING,
    }
    assert all(text.endswith(".") and text.count(".") == 1 for text in EXPLANATIONS.values())
