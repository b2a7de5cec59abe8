"""Named warnings of a fit. A number that comes from a fit with a warning is not a number to publish.

The idea is that of the bmi benchmark (Czyż et al. 2023, arXiv 2306.11078). The criteria look only at the
curve of validation code lengths, in bits per image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = [
    "EXPLANATIONS",
    "NAN_RECOVERED",
    "TRAINING_TOO_SHORT_TO_TELL",
    "VALIDATION_CODE_LENGTH_STILL_FALLING",
    "curve_warnings",
    "expected_gain",
    "tolerance_bits",
]

VALIDATION_CODE_LENGTH_STILL_FALLING = "validation_code_length_still_falling"
TRAINING_TOO_SHORT_TO_TELL = "training_too_short_to_tell"
NAN_RECOVERED = "nan_recovered"

EXPLANATIONS: dict[str, str] = {
    VALIDATION_CODE_LENGTH_STILL_FALLING: (
        "The code length of the validation images was still falling when the fit ended: a longer fit "
        "would give a shorter code, so more usable information."
    ),
    TRAINING_TOO_SHORT_TO_TELL: "There are too few validations to tell whether the fit had converged.",
    NAN_RECOVERED: (
        "The loss or its gradient was not finite at least once; the fit went back and continued at half "
        "the learning rate."
    ),
}
"""One sentence for each warning."""

_FEWEST_POINTS = 5
_TOLERANCE_BITS = 0.5
_TOLERANCE_SHARE = 0.005


def curve_warnings(steps: Sequence[int], bits: Sequence[float], steady_until: int | None = None) -> tuple[str, ...]:
    """Judge a curve of validation code lengths.

    - ``training_too_short_to_tell``: fewer than 5 finite points.
    - ``validation_code_length_still_falling``: :func:`expected_gain`, less its standard error, is more than
      max(0.5 bit, 0.5 % of the last code length).

    Args:
        steps: step of each validation, rising, shape (n,).
        bits: mean code length of the validation images in bits, shape (n,).
        steady_until: step at which the cool-down of the learning rate began. Later points are left out: the
            fall that a cool-down brings says nothing about what more steps would bring.

    Example:
        >>> curve_warnings([1, 2, 3, 4, 5, 6], [90.0, 80.0, 70.0, 60.0, 50.0, 40.0])
        ('validation_code_length_still_falling',)
        >>> curve_warnings([1, 2, 3, 4, 5, 6], [90.0, 50.0, 40.0, 40.1, 40.0, 40.0])
        ()
    """
    points = [
        (step, value)
        for step, value in zip(steps, bits, strict=True)
        if np.isfinite(value) and (steady_until is None or step <= steady_until)
    ]
    if len(points) < _FEWEST_POINTS:
        return (TRAINING_TOO_SHORT_TO_TELL,)
    x, y = np.array(points, dtype=np.float64).T
    gain, standard_error = expected_gain(x, y)
    return (VALIDATION_CODE_LENGTH_STILL_FALLING,) if gain - standard_error > tolerance_bits(float(y[-1])) else ()


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
