"""What a certificate says of learning curves whose end is known, and of those that tell nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.fitting.certificate import (
    ASYMPTOTE_NOT_IDENTIFIED,
    CERTIFICATE_EXPLANATIONS,
    Certificate,
    certify,
)
from decoders.fitting.warnings import TRAINING_TOO_SHORT_TO_TELL, VALIDATION_CODE_LENGTH_RISING

STEPS = list(range(100, 2100, 100))


def judge(bits, steps=STEPS, best: int | None = None, **changes) -> Certificate:
    known = {"steps_done": steps[-1], "early_stopped": False, "best_step": steps[-1] if best is None else best}
    return certify(steps, list(bits), **{**known, **changes})


def falling(gain: float = 2.0, exponent: float = 0.8) -> np.ndarray:
    return 30 + gain * (np.array(STEPS) / STEPS[-1]) ** -exponent


def test_gain_and_asymptote_of_a_curve_without_cool_down() -> None:
    found = judge(falling())
    assert found.bits_to_gain == pytest.approx(2)
    assert found.asymptote_bits == pytest.approx(30)
    assert found.steady_asymptote_bits == pytest.approx(30)
    assert found.exponent == pytest.approx(0.8)
    assert (found.steady_start, found.steady_end) == (500, 2000)
    assert found.warnings == ()


def test_a_cool_down_moves_the_asymptote_by_its_drop_and_leaves_the_gain() -> None:
    bits = falling()
    steady = np.array(STEPS) <= 1500
    at_its_end = float(bits[14])
    bits[~steady] = at_its_end - np.array([1, 2, 2.5, 2.8, 3])
    found = judge(bits, steady_until=1500)
    gain = at_its_end - 30
    assert found.bits_to_gain == pytest.approx(gain)
    assert found.steady_asymptote_bits == pytest.approx(30)
    assert found.reached_bits == pytest.approx(at_its_end - 3)
    assert found.asymptote_bits == pytest.approx(30 - 3)
    assert found.steady_end == 1500
    # What the cool-down did is no evidence about the steady phase.
    bits[~steady] = np.nan
    assert judge(bits, steady_until=1500, best=1500).bits_to_gain == pytest.approx(gain)


def test_the_first_descent_is_left_out() -> None:
    bits = falling()
    bits[:4] += [500, 200, 70, 9]
    assert judge(bits).bits_to_gain == pytest.approx(2)


@given(st.integers(0, 1000), st.floats(0, 500), st.floats(0.01, 100))
@settings(max_examples=40, deadline=None)
def test_shift_and_scale(seed: int, shift: float, scale: float) -> None:
    bits = falling() + 0.02 * np.random.default_rng(seed).normal(size=len(STEPS))
    one, other = judge(bits), judge(shift + scale * bits)
    tolerance = {"rel": 1e-4, "abs": 1e-5 * scale + 1e-8 * abs(shift)}
    assert other.warnings == one.warnings
    for name in ("bits_to_gain_low", "bits_to_gain_high"):
        assert getattr(other, name) == pytest.approx(scale * getattr(one, name), **tolerance)
    for name in ("reached_bits", "asymptote_bits_low", "asymptote_bits_high"):
        assert getattr(other, name) == pytest.approx(shift + scale * getattr(one, name), **tolerance)


def says_nothing(found: Certificate) -> bool:
    nothing = (found.bits_to_gain, found.asymptote_bits, found.exponent, found.bits_to_gain_high)
    ends = (found.bits_to_gain_low, found.asymptote_bits_low)
    return nothing == (None, None, None, math.inf) and ends == (0, -math.inf)


def test_curves_that_tell_nothing_say_so() -> None:
    few = judge(falling()[:5], STEPS[:5])
    assert says_nothing(few)
    assert few.warnings == (TRAINING_TOO_SHORT_TO_TELL,)
    assert says_nothing(judge(falling(), steady_until=500))
    assert says_nothing(judge(falling(), steady_until=0))
    broken = judge([math.inf] * 16 + [40, 39, 38, 37])
    assert says_nothing(broken)
    assert broken.warnings == (TRAINING_TOO_SHORT_TO_TELL,)
    rising = judge(30 + np.abs(np.array(STEPS) - 800) / 100)
    assert says_nothing(rising)
    assert rising.warnings == (VALIDATION_CODE_LENGTH_RISING,)
    straight = judge(60 - np.array(STEPS) / 100, warnings=("nan_recovered",))
    assert says_nothing(straight)
    below_zero = judge(falling(gain=4.0, exponent=0.3) - 31)
    assert says_nothing(below_zero)
    assert below_zero.warnings == (ASYMPTOTE_NOT_IDENTIFIED,)
    assert straight.warnings == ("nan_recovered", ASYMPTOTE_NOT_IDENTIFIED)


def test_a_flat_curve_is_certified() -> None:
    noise = 0.01 * np.random.default_rng(0).normal(size=len(STEPS))
    found = judge(30 + noise)
    assert found.bits_to_gain_high < 0.2
    assert found.warnings == ()
    assert judge(np.full(len(STEPS), 30.0)).bits_to_gain_high == pytest.approx(0)


def test_a_fall_without_an_end_in_sight_counts_only_where_it_is_of_some_size() -> None:
    slow = -np.log(np.array(STEPS))
    assert judge(30 + slow).warnings == (ASYMPTOTE_NOT_IDENTIFIED,)
    creeping = judge(30 + 0.01 * slow)
    assert creeping.warnings == ()
    assert 0.01 < creeping.bits_to_gain_high < 0.5


def test_the_kept_weights_are_those_of_the_best_step() -> None:
    found = judge(falling(), best=1000, early_stopped=True)
    assert found.reached_bits == pytest.approx(falling()[9])
    assert (found.best_step, found.early_stopped, found.steps_done) == (1000, True, 2000)
    with pytest.raises(ValueError, match="no validation"):
        judge(falling(), best=1050)


def test_every_warning_is_explained_in_one_sentence() -> None:
    assert set(CERTIFICATE_EXPLANATIONS) == {ASYMPTOTE_NOT_IDENTIFIED}
    assert all(text.endswith(".") and text.count(".") == 1 for text in CERTIFICATE_EXPLANATIONS.values())
