"""When a validation curve counts as converged."""

import numpy as np
import pytest

from decoders.fitting.warnings import (
    EXPLANATIONS,
    NAN_RECOVERED,
    TRAINING_TOO_SHORT_TO_TELL,
    VALIDATION_CODE_LENGTH_RISING,
    VALIDATION_CODE_LENGTH_ROSE,
    VALIDATION_CODE_LENGTH_STILL_FALLING,
    curve_warnings,
    expected_gain,
    is_rising,
    rise,
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


def test_a_flat_curve_is_converged():
    assert curve_warnings(STEPS, np.full(30, 20.0)) == ()


@pytest.mark.parametrize("early_stopped", [False, True])
def test_a_curve_that_falls_and_rises_again_is_named(early_stopped):
    bits = 119 + np.where(STEPS <= 1000, (1000 - STEPS) / 30, 36 * (STEPS - 1000) / 2000)
    assert bits[-1] == 155
    end = 13 if early_stopped else 30  # a patience of three validations
    noisy = (bits + np.random.default_rng(0).normal(0, 0.2, 30))[:end]
    assert VALIDATION_CODE_LENGTH_RISING in curve_warnings(STEPS[:end], noisy)
    mirrored = noisy[::-1].copy()
    mirrored[mirrored.argmin() :] = mirrored.min()  # falls as far, and stays down
    assert VALIDATION_CODE_LENGTH_RISING not in curve_warnings(STEPS[:end], mirrored)


@pytest.mark.parametrize(
    ("height", "level", "warned"), [(0.6, 20, True), (0.4, 20, False), (6, 1000, True), (4, 1000, False)]
)
def test_a_rise_counts_from_half_a_bit_or_half_a_percent(height, level, warned):
    bits = level + height * np.clip((STEPS - 1000) / 1000, 0, 1) + 1e-3 * (STEPS == 500) * -1
    assert is_rising(STEPS, bits) is warned


def test_one_bad_validation_is_no_rise_and_two_at_the_end_may_be_chance():
    bits = np.full(30, 20.0)
    bits[5] -= 0.1
    bits[-1] += 30
    assert not is_rising(STEPS, bits)
    assert not is_rising(STEPS[:6], [90.0, 50, 40, 20, 25, 30])
    assert is_rising(STEPS[:7], [90.0, 50, 40, 20, 25, 30, 35])


@pytest.mark.parametrize("points", [5, 8, 12, 30, 100])
def test_noise_is_seldom_called_a_rise(points):
    rng = np.random.default_rng(points)
    steps = np.arange(1, points + 1)
    for slope, most in ((0.0, 0.05), (20.0, 0.03)):  # flat, and falling as 1 / sqrt(step)
        mean = 100 + slope * (steps / points) ** -0.5
        found = [is_rising(steps, mean + rng.normal(0, 3, points)) for _ in range(400)]  # 6 times the half bit
        assert np.mean(found) <= most


def test_the_noise_of_a_line_is_that_of_its_second_differences():
    noise = 0.3 * np.random.default_rng(0).normal(size=2000)
    height, found = rise(np.concatenate([[90.0], 10 + np.arange(2000) + noise]))
    assert found == pytest.approx(0.3, rel=0.05)
    assert height == pytest.approx(1999 - 2000 // 3, abs=2)


def test_a_steady_phase_that_rises_is_named_although_the_cool_down_ends_below():
    bits = np.where(STEPS <= 2000, 100 + np.abs(STEPS - 1000) / 100, 100 - (STEPS - 2000) / 50)
    assert curve_warnings(STEPS, bits, steady_until=2000) == (VALIDATION_CODE_LENGTH_RISING,)
    assert not is_rising(STEPS, bits)
    assert is_rising(STEPS, bits[::-1], steady_until=2000)  # and the other way round


def test_a_curve_that_falls_on_after_the_kept_step_was_still_falling_there():
    # The null condition of a shared fit whose cells overfit early: the first weights are kept, and it learns on.
    bits = 215 + 60 * np.exp(-(STEPS - 100) / 400)
    assert curve_warnings(STEPS, bits, kept_step=3000) == ()
    assert curve_warnings(STEPS, bits, kept_step=200) == (VALIDATION_CODE_LENGTH_STILL_FALLING,)
    assert curve_warnings(STEPS, np.where(STEPS == 200, 20.4, 20.0), kept_step=200) == ()  # within the half bit


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
        VALIDATION_CODE_LENGTH_RISING,
        VALIDATION_CODE_LENGTH_ROSE,
        VALIDATION_CODE_LENGTH_STILL_FALLING,
    }
    assert all(text.endswith(".") and text.count(".") == 1 for text in EXPLANATIONS.values())
