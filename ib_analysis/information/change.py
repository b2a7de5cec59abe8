"""Convergence measured on what is reported: how far a number moved between the two ends of its decoder's fit.

A fit that ends twice ends once at half of its steps and once at all of them, each time with a cool-down. Longer fits
find more, so that the change of I(X;H) tells what still longer ones might find: it widens the interval on one side.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from decoders.fitting.certificate import ASYMPTOTE_NOT_IDENTIFIED
from decoders.fitting.warnings import VALIDATION_CODE_LENGTH_ROSE, VALIDATION_CODE_LENGTH_STILL_FALLING
from ib_analysis.information.intervals import Interval

__all__ = [
    "ABOUT_CODE_LENGTHS",
    "WIDENING",
    "high_with_change",
    "information_change_bits",
    "information_still_moving",
    "moved_beyond",
    "outside",
    "weighty",
]

ABOUT_CODE_LENGTHS = frozenset(
    {VALIDATION_CODE_LENGTH_STILL_FALLING, VALIDATION_CODE_LENGTH_ROSE, ASYMPTOTE_NOT_IDENTIFIED}
)
"""Warnings of fits that say what a longer one would do to a code length. Where the change of I(X;H) is measured they
are notes: whether the number that is reported would change is known from itself."""

WIDENING = 1.25
"""How many times the change from half of the steps to all of them widens an interval. Once is what fits four times as
long add in the median; this is the least of 1, 1.25 and 1.5 that holds nine tenths of what they find in `default`.
It was tried on known truths, which had no part in the choice (docs/method.md, section 11)."""

WORTH_A_WARNING = 0.1
"""Share of the information that it may move by without a warning, however narrow its interval is."""


def weighty(fitted: Iterable[str], change_is_measured: bool) -> list[str]:
    """Which warnings of a fit touch the information; the others are notes.

    >>> weighty(["nan_recovered", "validation_code_length_still_falling"], change_is_measured=True)
    ['nan_recovered']
    >>> weighty(["validation_code_length_still_falling"], change_is_measured=False)
    ['validation_code_length_still_falling']
    """
    return [name for name in fitted if not (change_is_measured and name in ABOUT_CODE_LENGTHS)]


def information_change_bits(code_lengths: np.ndarray, halfway_code_lengths: np.ndarray) -> float:
    """I(X;H) at the end of a fit minus that at half of its steps; L0 cancels.

    Arguments:
        code_lengths, halfway_code_lengths: shape (N,): L of the same images in bits.

    Raises:
        ValueError: the arrays do not describe the same images.

    >>> information_change_bits(np.array([5.0, 4.0]), np.array([5.5, 4.5]))
    0.5
    """
    end, halfway = np.asarray(code_lengths, dtype=np.float64), np.asarray(halfway_code_lengths, dtype=np.float64)
    if end.shape != halfway.shape or end.ndim != 1:
        raise ValueError(
            f"Code lengths of the same images are compared: shapes (N,) and (N,), not {end.shape} and {halfway.shape}."
        )
    return float((halfway - end).mean())


def high_with_change(information: Interval, change_bits: float) -> float:
    """The upper end of an interval, which a rise from half of the steps to all of them lifts by `WIDENING` times that.

    >>> high_with_change(Interval(10.0, 9.5, 10.5), 2.0), high_with_change(Interval(10.0, 9.5, 10.5), -2.0)
    (13.0, 10.5)
    """
    return float(information.high + WIDENING * np.maximum(change_bits, 0.0))


def information_still_moving(information: Interval, change_bits: float) -> bool:
    """Whether a number moved, up or down, by more than half the width of its interval and by more than 10 % of itself.

    >>> information_still_moving(Interval(10.0, 9.5, 10.5), 1.1), information_still_moving(Interval(10, 9.5, 10.5), 0.9)
    (True, False)
    """
    allowed = max((information.high - information.low) / 2, WORTH_A_WARNING * abs(information.estimate))
    return not abs(change_bits) <= allowed  # what is not a number is no sign of rest


def moved_beyond(end: Interval, halfway: Interval) -> bool:
    """Whether the estimate at half of the steps lies outside the interval at the end, to whichever side.

    >>> moved_beyond(Interval(10.0, 9.5, 10.5), Interval(9.4, 9.0, 9.9))
    True
    """
    return not end.low <= halfway.estimate <= end.high


def outside(value: float, low: float, high: float) -> float:
    """How far a value lies above (positive) or below (negative) an interval; 0 within, nan for what is no number.

    >>> outside(12.0, 9.0, 11.5), outside(8.75, 9.0, 11.5), outside(11.5, 9.0, 11.5)
    (0.5, -0.25, 0.0)
    """
    if not np.isfinite([value, low, high]).all():
        return float("nan")
    return max(value - high, 0.0) + min(value - low, 0.0)
