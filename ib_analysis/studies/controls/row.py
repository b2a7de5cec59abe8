"""controls.csv: what every control found, what it was allowed to find, and whether it passed."""

from __future__ import annotations

from dataclasses import dataclass

from ib_analysis.information.intervals import Interval

__all__ = [
    "COMMON_NULL",
    "CONTROLS",
    "LOWER_BOUND",
    "OWN_NULL",
    "ControlRow",
    "allowed_from_zero",
    "is_near_zero",
    "may_be_below",
    "verdict",
]

CONTROLS = ("shuffled", "constant", "image", "untrained", "permuted_labels", "data_processing", "bottleneck")
"""All controls, in the order in which they are shown."""

OWN_NULL, COMMON_NULL, LOWER_BOUND = "I(X;H), own null", "I(X;H), common L0", "H(X) - mean(L)"
"""Quantities of a decoder: mean(own L0 - L), mean(L0 - L) and the lower bound on I(X;H)."""

TOLERANCE_BITS = 0.5
"""What a decoder without information may be off by, where the interval is narrower."""


def allowed_from_zero(found: Interval) -> float:
    """How far from zero an estimate of no information may lie: max(half the interval's width, 0.5 bit).

    >>> allowed_from_zero(Interval(0.1, -0.1, 0.3)), allowed_from_zero(Interval(0.0, -2.0, 2.0))
    (0.5, 2.0)
    """
    return max((found.high - found.low) / 2, TOLERANCE_BITS)


def is_near_zero(found: Interval) -> bool:
    """Whether an estimate of no information is as near to zero as it has to be.

    >>> is_near_zero(Interval(0.6, 0.5, 0.7)), is_near_zero(Interval(-0.4, -0.5, -0.3))
    (False, True)
    """
    return abs(found.estimate) <= allowed_from_zero(found)


def may_be_below(found: Interval, bound_bits: float) -> bool:
    """Whether the interval leaves room for a true value of at most ``bound_bits``.

    >>> may_be_below(Interval(8.1, 7.9, 8.3), 8.0), may_be_below(Interval(9.0, 8.5, 9.5), 8.0)
    (True, False)
    """
    return found.low <= bound_bits


def verdict(holds: bool) -> str:
    """How the column ``passed`` says that a rule holds, or does not."""
    return "yes" if holds else "no"


@dataclass(frozen=True)
class ControlRow:
    """One number of one control, a row of controls.csv."""

    experiment: str
    """Name of the experiment."""
    control: str
    """Which control (see `CONTROLS`)."""
    task: str
    """What the encoder was trained for."""
    encoder_seed: int
    """Seed of the encoder."""
    decoder_seed: int | None
    """Seed of the decoder; empty where there is none."""
    epoch: int
    """Training epochs that the encoder had seen."""
    layer: str
    """What the decoder or probe saw: a layer, `image`, `signs4` (four binary units); `h1 > h2` for a pair of layers."""
    quantity: str
    """What was estimated."""
    bits: float
    """The estimate."""
    low: float
    """Lower end of its interval."""
    high: float
    """Upper end of its interval."""
    allowed_low: float | None
    """Lower end of what is allowed; empty where there is none."""
    allowed_high: float | None
    """Upper end of what is allowed, or a known ceiling; empty where there is none."""
    rule: str
    """The rule, in words."""
    passed: str
    """`yes` or `no`; `violation` where usable information breaks the data-processing inequality, which it may; `shown`
    where there is no rule."""
    warnings: str
    """Names of warnings, joined by semicolons (see `ib_analysis.information.warnings.EXPLANATIONS`)."""
    n_images: int
    """Evaluation images that the mean and its interval are over."""
    null_code_length_bits: float
    """L0: mean code length under the data set's common unconditional model."""
    h_x_bits: float | None
    """Exact entropy of an image, where it is known."""
    decoder: str
    """Key of the decoder; empty where there is none."""
    decoder_steps: int | None
    """Optimiser steps of the decoder's fit; empty where there is none."""
    command: str
    """What makes this row again, with the options that the experiment itself was given."""
