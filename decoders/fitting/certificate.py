"""The certificate of a fit: how many bits a longer one would still gain, as far as its learning curve tells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from decoders.fitting.power_law import FEWEST_POINTS, fit_power_law
from decoders.fitting.schedule import FittingConfig, cooldown_start
from decoders.fitting.warnings import FEWEST_POINTS as FEWEST_VALIDATIONS
from decoders.fitting.warnings import (
    TRAINING_TOO_SHORT_TO_TELL,
    VALIDATION_CODE_LENGTH_RISING,
    is_rising,
    tolerance_bits,
)

__all__ = [
    "ASYMPTOTE_NOT_IDENTIFIED",
    "CERTIFICATE_EXPLANATIONS",
    "Certificate",
    "CurveEnd",
    "certify",
    "check_judgeable",
]

ASYMPTOTE_NOT_IDENTIFIED = "asymptote_not_identified"

CERTIFICATE_EXPLANATIONS: dict[str, str] = {
    ASYMPTOTE_NOT_IDENTIFIED: (
        "The validation code length fell so steadily that no asymptote is in sight: how much a longer fit would gain "
        "has no upper end."
    ),
}
"""One sentence for each warning that only a certificate gives."""

WINDOW = 4
"""Points before 1 / WINDOW of the steady phase are left out: the first descent follows another law."""
_TRIAL_STEPS = 1000
"""A fit of fewer steps is a trial: nobody waits long for its warning that it cannot be judged."""


def check_judgeable(config: FittingConfig, name: str = "fitting") -> None:
    """Refuse a schedule with too few validations for `certify`, however its curve may turn out.

    Fits of less than 1000 steps pass: they are trials, and their certificates say that they are too short to tell. A
    fit that also ends halfway needs no certificate, as the change between its ends is measured: what it needs is a
    curve of `FEWEST_VALIDATIONS` points, which shows whether it overfits.

    Args:
        config: the schedule.
        name: what the user calls it.

    Raises:
        ValueError: there are fewer than `FEWEST_POINTS` validations before the cool-down, or `FEWEST_VALIDATIONS` in
            all of a fit that also ends halfway; the sentence names a setting that would do.

    Example:
        >>> check_judgeable(FittingConfig(steps=9000, cooldown_share=0.35, validate_every=975))
        >>> check_judgeable(FittingConfig(steps=20, validate_every=1000))
        >>> check_judgeable(FittingConfig(steps=9000, cooldown_share=0.35, validate_every=976))
        Traceback (most recent call last):
        ValueError: fitting.validate_every is 976: only 5 validations would come before the learning rate cools down ...
    """
    if config.halfway:
        _check_handful(config, name)
        return
    steady = cooldown_start(config)
    if steady == config.steps:
        validations, until = -(-steady // config.validate_every), "the fit ends"  # the last step is always validated
    else:
        validations, until = steady // config.validate_every, "the learning rate cools down"
    if config.steps < _TRIAL_STEPS or validations >= FEWEST_POINTS:
        return
    most = steady // FEWEST_POINTS
    remedy = f"choose {most} or less" if most else f"lower {name}.cooldown_share (now {config.cooldown_share:g})"
    raise ValueError(
        f"{name}.validate_every is {config.validate_every}: only {validations} validations would come before {until} "
        f"(step {steady}), and judging whether a fit has converged takes {FEWEST_POINTS}; {remedy}."
    )


def _check_handful(config: FittingConfig, name: str) -> None:
    validations = -(-config.steps // config.validate_every)
    if config.steps >= _TRIAL_STEPS and validations < FEWEST_VALIDATIONS:
        raise ValueError(
            f"{name}.validate_every is {config.validate_every}: with only {validations} validations in {config.steps} "
            f"steps nobody can tell whether the fit overfits, which takes {FEWEST_VALIDATIONS}; choose "
            f"{config.steps // FEWEST_VALIDATIONS} or less."
        )


@dataclass(frozen=True)
class CurveEnd:
    """Where a learning curve leads; code lengths are means in bits over the validation images."""

    reached_bits: float
    """Code length with the weights that were kept."""
    bits_to_gain: float | None
    """What the steady phase of the fit had still to gain when it ended; None where the curve does not tell."""
    bits_to_gain_low: float
    """Lower end of its interval."""
    bits_to_gain_high: float
    """Upper end of its interval; inf where the curve sets none."""
    asymptote_bits: float | None
    """``reached_bits - bits_to_gain``: where an endless fit is expected to end."""
    asymptote_bits_low: float
    """Lower end of its interval."""
    asymptote_bits_high: float
    """Upper end of its interval."""
    steady_asymptote_bits: float | None
    """Asymptote of the steady phase's own curve b(t) = asymptote + gain (t / end)^-exponent. Without a cool-down this
    is ``asymptote_bits`` up to the noise of one validation; with one it lies higher, by the drop that it brought."""
    exponent: float | None
    """Exponent of that curve, a falling power law of the step."""
    steady_start: int
    """First step that the curve was fitted to."""
    steady_end: int
    """Last step that the curve was fitted to."""


@dataclass(frozen=True)
class Certificate(CurveEnd):
    """What the learning curve of one decoder, under one condition, says about its convergence. Bits per image.

    ``bits_to_gain`` is what the steady phase of the fit (before the learning rate cools down) had still to gain when it
    ended, from there to its asymptote: an estimate of what an endless steady phase, with the same cool-down after it,
    would bring, and rather too much than too little, as the steps of the cool-down have gained a part of it already.
    None, with the ends 0 and infinity, where the curve does not tell.
    """

    early_stopped: bool
    """Whether the fit ended because of ``patience``."""
    steps_done: int
    best_step: int
    """Step whose weights were kept."""
    warnings: tuple[str, ...]
    """Those of the fit (`fit_warnings`), and `CERTIFICATE_EXPLANATIONS`."""


def certify(
    steps: Sequence[int],
    bits: Sequence[float],
    *,
    best_step: int,
    steps_done: int,
    early_stopped: bool,
    steady_until: int | None = None,
    warnings: Sequence[str] = (),
    confidence: float = 0.95,
) -> Certificate:
    """Judge a curve of validation code lengths; a pure function of its arguments.

    Fitted are the points of the last three quarters of the steady phase (at least `FEWEST_POINTS`); see `power_law` for
    the law and its interval. All validations see the same images, so that the interval covers how well the curve's
    points fix its asymptote, if it is a power law; not the choice of the validation images, not what another seed or
    learning rate would find, and not a later turn of the curve.

    Args:
        steps: step of each validation, rising, shape (n,).
        bits: mean code length of the validation images in bits, shape (n,).
        best_step: the validation whose weights were kept, one of ``steps``.
        steps_done, early_stopped, warnings: of the record of the fit.
        steady_until: step at which the cool-down of the learning rate began; None: there was none.
        confidence: of the intervals.

    Raises:
        ValueError: ``best_step`` is not among the steps.

    Example:
        >>> steps = list(range(100, 2100, 100))
        >>> bits = [20 + 3 * (step / 2000) ** -0.5 for step in steps]
        >>> found = certify(steps, bits, best_step=2000, steps_done=2000, early_stopped=False)
        >>> round(found.bits_to_gain, 6), round(found.asymptote_bits, 6)
        (3.0, 20.0)
    """
    if best_step not in steps:
        raise ValueError(f"best_step is {best_step}, and there was no validation at this step.")
    reached = float(bits[list(steps).index(best_step)])
    t, y = np.array(steps, dtype=np.float64), np.array(bits, dtype=np.float64)
    rising = is_rising(steps, bits, steady_until)
    steady = np.isfinite(y) & (t <= (t[-1] if steady_until is None else steady_until))
    t, y = t[steady], y[steady]
    found = list(warnings)
    start = min(int(np.searchsorted(t, t[-1] / WINDOW)), max(0, len(t) - FEWEST_POINTS)) if len(t) else 0
    t, y = t[start:], y[start:]
    law = None
    if len(t) < FEWEST_POINTS or not math.isfinite(reached):
        found.append(TRAINING_TOO_SHORT_TO_TELL)
    elif rising:
        found.append(VALIDATION_CODE_LENGTH_RISING)
    else:
        law = fit_power_law(t, y, confidence)
        # A converged fit may creep on by hundredths of a bit without an end in sight: no reason for an open end. And an
        # asymptote below zero is none: no code is that short.
        small = law.gain_high <= tolerance_bits(reached)
        if not (law.identified or small) or law.gain > reached:
            law = None
            found.append(ASYMPTOTE_NOT_IDENTIFIED)
    gain = law.gain if law is not None else None
    low = law.gain_low if law is not None else 0.0
    high = min(law.gain_high, reached) if law is not None else math.inf
    return Certificate(
        reached_bits=reached,
        bits_to_gain=gain,
        bits_to_gain_low=low,
        bits_to_gain_high=high,
        asymptote_bits=None if gain is None else reached - gain,
        asymptote_bits_low=reached - high,
        asymptote_bits_high=reached - low,
        steady_asymptote_bits=law.asymptote if law is not None else None,
        exponent=law.exponent if law is not None else None,
        steady_start=int(t[0]) if len(t) else 0,
        steady_end=int(t[-1]) if len(t) else 0,
        early_stopped=early_stopped,
        steps_done=steps_done,
        best_step=best_step,
        warnings=tuple(dict.fromkeys(found)),
    )
