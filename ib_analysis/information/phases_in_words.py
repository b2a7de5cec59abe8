"""What became of a layer's information, in words: the verdict, and the finding as a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ib_analysis.information.intervals import Interval
from ib_analysis.information.phases import Phases

__all__ = ["COMPRESSES", "NOT_FOUND", "NOT_JUDGED", "finding", "verdict"]

COMPRESSES, NOT_FOUND, NOT_JUDGED = "compresses", "no compression found", "not judged"
"""The verdicts. The second is no proof of the opposite: the upper end of the loss says what is not excluded."""


def verdict(found: Phases) -> str:
    """Whether the layer compresses."""
    return (COMPRESSES if found.compresses else NOT_FOUND) if found.finite else NOT_JUDGED


def finding(subject: str, found: Phases, epochs: Sequence[int], warnings: Iterable[str] = ()) -> str:
    """What was found of the loss, as a sentence.

    Arguments:
        warnings: of the loss.

    >>> gain, loss = Interval(30.0, 28.0, 33.0), Interval(21.34, 18.0, 24.9)
    >>> finding("h3, classification", Phases(1, 1, 1, gain, loss, 0.001), [0, 10, 20])
    'h3, classification: compresses by 21.3 bits [18.0, 24.9], peak at epoch 10'
    >>> flat = Phases(2, 1, 2, gain, Interval(0.0, 0.0, 0.62), 0.4)
    >>> finding("h3, autoencoding", flat, [0, 10, 20])
    'h3, autoencoding: no compression found, peak at the end (epoch 20), at most 0.62 bits lost'
    """
    loss, epoch = found.compression_loss, epochs[found.peak]
    if not found.finite:
        text = f"{NOT_JUDGED}, code lengths that are not finite"
    elif found.compresses:
        text = f"{COMPRESSES} by {_bits(loss)}, peak at epoch {epoch}"
        if found.peak == 0:
            text += " (the start)"
    elif found.peak == len(epochs) - 1:
        text = f"{NOT_FOUND}, peak at the end (epoch {epoch})"
        if loss.high > 0:
            text += f", at most {_number(loss.high, _decimals(loss))} bits lost"
    else:
        text = f"{NOT_FOUND}, {_bits(loss)} below the peak at epoch {epoch} (p = {found.p_value:.2g})"
    named = ", ".join(name.replace("_", " ") for name in warnings)
    return f"{subject}: {text}" + (f" [warning: {named}]" if named else "")


def _bits(interval: Interval) -> str:
    decimals = _decimals(interval)
    low, high = _number(interval.low, decimals), _number(interval.high, decimals)
    return f"{_number(interval.estimate, decimals)} bits [{low}, {high}]"


def _number(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}"


def _decimals(interval: Interval) -> int:
    """One decimal; more for numbers below 1, and where a lower end above zero would be printed as zero."""
    most = 2 if max(interval.estimate, interval.high) < 1 else 1
    while interval.low > 0 and most < 6 and float(_number(interval.low, most)) == 0:
        most += 1
    return most
