"""Named warnings of a fit. A number that comes from a fit with a warning is not a number to publish.

The idea is that of the bmi benchmark (Czyż et al. 2023, arXiv 2306.11078). The criteria look only at the
curve of validation code lengths, in bits per image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = [
    "EXPLANATIONS",
    "FEWEST_POINTS",
    "NAN_RECOVERED",
    "TRAINING_TOO_SHORT_TO_TELL",
    "VALIDATION_CODE_LENGTH_RISING",
    "VALIDATION_CODE_LENGTH_ROSE",
    "VALIDATION_CODE_LENGTH_STILL_FALLING",
    "curve_warnings",
    "expected_gain",
    "is_rising",
    "rise",
    "tolerance_bits",
]

VALIDATION_CODE_LENGTH_STILL_FALLING = "validation_code_length_still_falling"
VALIDATION_CODE_LENGTH_RISING = "validation_code_length_rising"
VALIDATION_CODE_LENGTH_ROSE = "validation_code_length_rose"
TRAINING_TOO_SHORT_TO_TELL = "training_too_short_to_tell"
NAN_RECOVERED = "nan_recovered"

EXPLANATIONS: dict[str, str] = {
    VALIDATION_CODE_LENGTH_STILL_FALLING: (
        "The code length of the validation images was still falling when the fit ended, or when the weights that were "
        "kept were those of the moment: a longer fit would give a shorter code, so more usable information."
    ),
    VALIDATION_CODE_LENGTH_RISING: (
        "The code length of the validation images rose again after its lowest point: the decoder learned its training "
        "images by heart, and more images, not more steps, would shorten the code."
    ),
    VALIDATION_CODE_LENGTH_ROSE: (
        "The code length of the validation images rose for a while, but was lowest late in the fit: "
        "a longer fit might lengthen the code, more images would shorten it."
    ),
    TRAINING_TOO_SHORT_TO_TELL: "There are too few validations to tell whether the fit had converged.",
    NAN_RECOVERED: (
        "The loss or its gradient was not finite at least once; the fit went back and continued at half "
        "the learning rate."
    ),
}
"""One sentence for each warning."""

FEWEST_POINTS = 5
"""Validations that judging a curve takes: before the cool-down or, of a fit that ended twice, in all."""
_TOLERANCE_BITS = 0.5
_TOLERANCE_SHARE = 0.005
_FEWEST_AFTER_LOWEST = 3
_CHANGE_OVER_NOISE = 5.0
_EARLY_SHARE = 2 / 3


def curve_warnings(
    steps: Sequence[int],
    bits: Sequence[float],
    steady_until: int | None = None,
    kept_step: int | None = None,
    ended_twice: bool = False,
) -> tuple[str, ...]:
    """Judge a curve of validation code lengths.

    - ``training_too_short_to_tell``: fewer than 5 finite points.
    - ``validation_code_length_still_falling``: :func:`expected_gain`, less its standard error, is more than
      max(0.5 bit, 0.5 % of the last code length); or the curve ends as far below its point at ``kept_step``, and
      by 5 times the noise. That is the best step of all cells together: where they overfit, the null condition may be
      left half learned.
    - ``validation_code_length_rising``: see :func:`is_rising`.

    Where a fit also ended halfway, its convergence is measured by what changes between its ends. Then 5 points of the
    whole curve are enough, and a rise is called ``validation_code_length_rose`` unless the curve's lowest point is
    early: in the first two thirds of the steps, after which nothing made up for what was learned by heart.

    Args:
        steps: step of each validation, rising, shape (n,).
        bits: mean code length of the validation images in bits, shape (n,).
        steady_until: step at which the cool-down of the learning rate began. Later points are left out where a fall
            is judged: that of a cool-down says nothing about what more steps would bring.
        kept_step: step of the validation whose weights were kept; None: the curve's own best.
        ended_twice: whether the fit also ended at half of its steps.

    Example:
        >>> curve_warnings([1, 2, 3, 4, 5, 6], [90.0, 80.0, 70.0, 60.0, 50.0, 40.0])
        ('validation_code_length_still_falling',)
        >>> curve_warnings([1, 2, 3, 4, 5, 6], [90.0, 50.0, 40.0, 40.1, 40.0, 40.0])
        ()
        >>> curve_warnings([1, 2, 3, 4, 5, 6], [90.0, 50.0, 40.0, 42.0, 45.0, 48.0])
        ('validation_code_length_rising',)
        >>> curve_warnings([1, 2, 3, 4, 5, 6], [90.0, 40.0, 42.0, 45.0, 48.0, 39.0], 5, ended_twice=True)
        ('validation_code_length_rose',)
    """
    rising: tuple[str, ...] = ()
    if is_rising(steps, bits, steady_until):
        late = ended_twice and _lowest_step(steps, bits) > steps[-1] * _EARLY_SHARE
        rising = (VALIDATION_CODE_LENGTH_ROSE if late else VALIDATION_CODE_LENGTH_RISING,)
    points = [
        (step, value)
        for step, value in zip(steps, bits, strict=True)
        if np.isfinite(value) and (steady_until is None or step <= steady_until)
    ]
    falling = kept_step is not None and _falls_after(steps, bits, kept_step)
    too_short = (int(np.isfinite(bits).sum()) if ended_twice else len(points)) < FEWEST_POINTS
    if len(points) >= FEWEST_POINTS:
        x, y = np.array(points, dtype=np.float64).T
        gain, standard_error = expected_gain(x, y)
        falling = falling or gain - standard_error > tolerance_bits(float(y[-1]))
    return (
        *((TRAINING_TOO_SHORT_TO_TELL,) if too_short else ()),
        *((VALIDATION_CODE_LENGTH_STILL_FALLING,) if falling else ()),
        *rising,
    )


def is_rising(steps: Sequence[int], bits: Sequence[float], steady_until: int | None = None) -> bool:
    """Whether a curve rises again after its lowest point: the whole curve, or its steady phase by itself.

    A rise counts if :func:`rise` is more than max(0.5 bit, 0.5 % of the lowest code length) and more than 5 times the
    noise of single validations; both are needed, so that neither the noise of a curve nor a trifle is called a rise.
    The weights of the best validation are kept, so that the number itself is no worse for the rise. It is named all
    the same, of a fit that stopped early as well: what is kept is the best compromise of a decoder that has too few
    images, which one with more images would leave behind; and a cell, or the null condition, may have had its own
    lowest point long before the common one whose weights were kept. A cool-down may end below a steady phase that rose:
    then a longer fit would be worse, which the steady phase tells.

    In simulations of white noise that is far above the 0.5 bit, at most 4 % of flat curves were called rising (of 5 to
    100 points), and at most 2 % of falling ones.

    Args:
        steps, bits, steady_until: as in :func:`curve_warnings`.
    """
    x, y = np.asarray(steps), np.asarray(bits, dtype=np.float64)
    finite = np.isfinite(y)
    parts = [y[finite], *([y[finite & (x <= steady_until)]] if steady_until is not None else [])]
    return any(_is_clear(*rise(part), float(part.min(initial=np.inf))) for part in parts)


def rise(bits: np.ndarray) -> tuple[float, float]:
    """How far a curve ends above its lowest point, and the standard deviation of the noise of its points.

    The end is the lowest of the last third of the points after the lowest one (at least 2 of them), so that one bad
    validation makes no rise. The noise is the root mean square of these points' second differences over sqrt(6), which
    a smooth rise leaves small.

    Args:
        bits: finite, shape (n,).

    Returns:
        Both in bits; 0 and infinity where fewer than 3 points follow the lowest one, or there are fewer than 5.

    Example:
        >>> height, noise = rise(np.array([150.0, 130.0, 119.0, 131.0, 143.0, 155.0]))
        >>> height, round(noise, 6)
        (24.0, 0.0)
    """
    return _climb(bits[int(np.argmin(bits)) :]) if len(bits) >= FEWEST_POINTS else (0.0, float("inf"))


def _lowest_step(steps: Sequence[int], bits: Sequence[float]) -> int:
    """Step of the lowest finite point."""
    values = np.asarray(bits, dtype=np.float64)
    return int(steps[int(np.argmin(np.where(np.isfinite(values), values, np.inf)))])


def _falls_after(steps: Sequence[int], bits: Sequence[float], kept_step: int) -> bool:
    """Whether the curve ends clearly below its point at a step."""
    later = np.array(
        [value for step, value in zip(steps, bits, strict=True) if step >= kept_step and np.isfinite(value)]
    )
    return _is_clear(*_climb(-later), float(later.min(initial=np.inf)))


def _climb(after: np.ndarray) -> tuple[float, float]:
    """See :func:`rise`, of the points from the lowest one on."""
    if len(after) <= _FEWEST_AFTER_LOWEST:
        return 0.0, float("inf")
    last = max(2, (len(after) - 1) // 3)
    curvature = np.diff(after, 2)
    return float(after[-last:].min() - after[0]), float(np.sqrt(curvature @ curvature / len(curvature) / 6))


def _is_clear(change: float, noise: float, code_length: float) -> bool:
    return change > _CHANGE_OVER_NOISE * noise and change > tolerance_bits(code_length)


def tolerance_bits(code_length: float) -> float:
    """What a fit may still gain and yet count as converged: max(0.5 bit, 0.5 % of the code length)."""
    return max(_TOLERANCE_BITS, _TOLERANCE_SHARE * abs(code_length))


def expected_gain(steps: np.ndarray, bits: np.ndarray) -> tuple[float, float]:
    """Bits that a further third of the steps would gain if the fall of the last third went on, and its error.

    The slope of the points of the last third (at least 3 of them) is fitted by least squares; its standard
    error is that of ordinary regression, s / sqrt(sum (x - mean x)^2), with n - 2 degrees of freedom.

    Args:
        steps: step of each validation, rising, shape (n,), n >= 3.
        bits: mean code length in bits, shape (n,).

    Returns:
        The gain in bits (positive when the code length falls) and its standard error in bits.
    """
    last = max(3, int(np.sum(steps >= steps[-1] * 2 / 3)))
    x, y = steps[-last:] - steps[-last:].mean(), bits[-last:] - bits[-last:].mean()
    spread = float(x @ x)
    slope = float(x @ y) / spread
    residual = y - slope * x
    error = float(np.sqrt(residual @ residual / (last - 2) / spread))
    further = float(steps[-1]) / 3
    return -slope * further, error * further
