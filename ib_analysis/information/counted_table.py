"""counted.csv: layers of at most 12 bits, whose entropy is counted, beside what the decoder reads of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ib_analysis.information.columns import CellColumns
from ib_analysis.information.intervals import Interval
from ib_analysis.information.plain_text import align

__all__ = ["CountedRow", "agreement", "counted_text"]

SATURATED, BOUND_ABOVE, USABLE_ABOVE = (
    "count saturated",
    "lower bound above the count",
    "usable information above the count",
)
COMPATIBLE, IN_PART = "compatible", "read in part"


@dataclass(frozen=True)
class CountedRow(CellColumns):
    """I(X;H) = H(H) of one cell in bits: counted, and as the decoder finds it."""

    units: int
    """Codes per image."""
    code_bits: int
    """Bits of a code."""
    n_images: int
    """Images that were counted."""
    n_values: int
    """Values that the layer took on them, of 2^(units x code_bits)."""
    log2_images_bits: float
    """log2 of the number of images, which no count can exceed."""
    plug_in_bits: float
    """Entropy of the values' shares: an estimate of H(H), too small in expectation."""
    plug_in_bits_low: float
    """Lower end of its interval over images (95 %)."""
    plug_in_bits_high: float
    """Upper end of that interval, and the bias besides; at most units x code_bits."""
    bias_bits: float
    """What the estimate can be too small by in expectation: log2(1 + (2^(units x code_bits) - 1) / n_images)."""
    saturated: int
    """1 where the count is within a bit of log2 n_images, and says more about the number of images than about H."""
    lower_bits: float | None
    """Lower bound H(X) - mean(L) by the decoder, where H(X) is known."""
    lower_bits_low: float | None
    """Lower end of its interval."""
    lower_bits_high: float | None
    """Upper end of its interval."""
    i_xh_bits: float
    """Usable information, mean(L0 - L): the decoder's estimate, no bound."""
    i_xh_bits_low: float
    """Lower end of its interval."""
    i_xh_bits_high: float
    """Upper end of its interval."""
    agreement: str = ""
    """How the decoder's numbers stand to the count: see `agreement`."""


def agreement(counted: Interval, saturated: bool, usable: Interval, lower: Interval | None) -> str:
    """How a decoder's numbers stand to a count, from their intervals.

    A lower bound cannot lie above the truth, and the upper end of the count allows for its bias: that would be a fault
    or the luck of the images. Usable information is no bound, and may.

    Arguments:
        counted: whose upper end has the bias besides.
        saturated: whether the count says more about the number of images than about the layer.
        usable: mean(L0 - L).
        lower: H(X) - mean(L), where H(X) is known.

    Returns:
        count saturated, lower bound above the count, usable information above the count, compatible (the intervals of
        count and usable information overlap), or read in part.

    >>> agreement(Interval(3.9, 3.8, 4.0), False, Interval(3.0, 2.8, 3.2), Interval(2.9, 2.7, 3.1))
    'read in part'
    """
    if saturated:
        return SATURATED
    if lower is not None and lower.low > counted.high:
        return BOUND_ABOVE
    if usable.low > counted.high:
        return USABLE_ABOVE
    return COMPATIBLE if usable.overlaps(counted) else IN_PART


def counted_text(rows: Sequence[CountedRow]) -> str:
    """The counts of each run's last epoch as a table for the terminal; empty without any."""
    if not rows:
        return ""
    last = {(row.task, row.number_format, row.encoder_seed): row.epoch for row in sorted(rows, key=lambda r: r.epoch)}
    known = any(row.lower_bits is not None for row in rows)
    lines = [["task", "format", "layer", "code", "images", "counted", "bias at most", "log2 N"]]
    lines[0] += [*(["lower end"] if known else []), "usable", "count and decoder"]
    for row in rows:
        if row.epoch != last[row.task, row.number_format, row.encoder_seed]:
            continue
        lower = [] if not known else [_interval(row.lower_bits, row.lower_bits_low, row.lower_bits_high)]
        mark = "!" if row.saturated else ""
        lines.append(
            [row.task, row.number_format, row.layer, f"{row.units} x {row.code_bits} bits", f"{row.n_images:,}",
             _interval(row.plug_in_bits, row.plug_in_bits_low, row.plug_in_bits_high) + mark, f"{row.bias_bits:.3f}",
             f"{row.log2_images_bits:.2f}", *lower,
             _interval(row.i_xh_bits, row.i_xh_bits_low, row.i_xh_bits_high), row.agreement]
        )  # fmt: skip
    text = [
        "Layers of at most 12 bits at the last epoch: I(X;H) in bits, counted over the images at hand",
        *align(lines),
    ]
    if any(row.saturated for row in rows):
        text.append("!: within a bit of log2 N: the count says more about the number of images than about the layer.")
    return "\n".join(text)


def _interval(estimate: float | None, low: float | None, high: float | None) -> str:
    return "-" if estimate is None else f"{estimate:.2f} [{low:.2f}, {high:.2f}]"
