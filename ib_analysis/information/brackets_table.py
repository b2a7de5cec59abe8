"""brackets.csv: between which ends I(X;H) lies where a layer is made of codes, a row per cell and decoder seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ib_analysis.information.columns import CellColumns
from ib_analysis.information.intervals import Interval
from ib_analysis.information.plain_text import align

__all__ = ["ENDS", "BracketRow", "brackets_text", "tightest"]

ENDS: dict[str, str] = {
    "capacity": "units x bits",
    "null_code_length": "mean(L0)",
    "h_x": "H(X)",
    "entropy_code": "entropy code per channel",
    "density": "density model of the codes",
    "earlier_layer": "upper end of an earlier layer",
}
"""Kinds of upper ends, with what they are in words."""


@dataclass(frozen=True)
class BracketRow(CellColumns):
    """Bounds on I(X;H) of one cell in bits; H is the code, a deterministic function of the image."""

    units: int
    """Codes per image."""
    code_bits: int
    """Bits of a code."""
    code_is_bottleneck: int | None
    """1 where the codes are all that goes on, 0 where real numbers pass beside them."""
    capacity_bits: float
    """Upper end: units times bits."""
    null_code_length_bits: float
    """Upper end: mean(L0), which is at least H(X) in expectation."""
    null_code_length_bits_low: float
    """Lower end of its interval."""
    null_code_length_bits_high: float
    """Upper end of its interval."""
    h_x_bits: float | None
    """Upper end: the exact entropy of an image, where it is known."""
    entropy_code_bits: float
    """Upper end: mean code length of the codes under an entropy code per channel, fitted on the decoder's images."""
    entropy_code_bits_low: float
    """Lower end of its interval."""
    entropy_code_bits_high: float
    """Upper end of its interval."""
    density_bits: float
    """Upper end: the same under an autoregressive density model."""
    density_bits_low: float
    """Lower end of its interval."""
    density_bits_high: float
    """Upper end of its interval."""
    density_warnings: str
    """Warnings of that model's fit, joined by semicolons: the end holds, but more steps would lower it."""
    earlier_layer: str
    """Of the earlier layers whose codes are all that goes on to this one: that with the lowest upper end; or empty."""
    earlier_layer_bits: float | None
    """Upper end: the lowest upper end of that layer, of whose codes this layer is a function."""
    earlier_layer_bits_low: float | None
    """Lower end of its interval."""
    earlier_layer_bits_high: float | None
    """Upper end of its interval."""
    upper_bits: float
    """The lowest of the upper ends."""
    upper_bits_low: float
    """Lower end of its interval."""
    upper_bits_high: float
    """The lowest upper end with its interval's upper end."""
    upper_end: str
    """Which one is the lowest: capacity, null_code_length, h_x, entropy_code, density or earlier_layer."""
    lower_bits: float | None
    """Lower end H(X) - mean(L), where H(X) is known."""
    lower_bits_low: float | None
    """Lower end of its interval."""
    lower_bits_high: float | None
    """Upper end of its interval."""
    width_bits: float | None
    """upper_bits - max(lower_bits, 0)."""
    counted_bits: float | None
    """I(X;H) itself: entropy of a layer of at most 12 bits, by counting its values over all images, or over many."""
    counted_bits_low: float | None
    """Lower end of its interval; equal to the count where all images were enumerated."""
    counted_bits_high: float | None
    """Upper end of its interval."""
    i_xh_bits: float
    """Usable information, mean(L0 - L): an estimate, no bound."""
    i_xh_bits_low: float
    """Lower end of its interval."""
    i_xh_bits_high: float
    """Upper end of its interval."""
    i_hy_bits: float | None
    """Information about the class label that the better probe finds."""
    warnings: str
    """Warnings of the cell, as in information.csv."""


def tightest(ends: Mapping[str, Interval]) -> tuple[str, Interval]:
    """The kind and the interval of the lowest of several upper ends; the first of equals.

    >>> tightest({"capacity": Interval(8.0, 8.0, 8.0), "density": Interval(5.0, 4.5, 5.5)})
    ('density', Interval(estimate=5.0, low=4.5, high=5.5))
    """
    name = min(ends, key=lambda kind: ends[kind].estimate)
    return name, ends[name]


def brackets_text(rows: Sequence[BracketRow]) -> str:
    """The brackets of each run's last epoch as a table for the terminal; empty without any."""
    if not rows:
        return ""
    last = {(row.task, row.number_format, row.encoder_seed): row.epoch for row in sorted(rows, key=lambda r: r.epoch)}
    known = any(row.lower_bits is not None for row in rows)
    counted = any(row.counted_bits is not None for row in rows)
    lines = [["task", "format", "layer", "code", *(["lower end"] if known else []), "upper end", "which"]]
    lines[0] += [*(["width"] if known else []), *(["counted"] if counted else []), "usable"]
    for row in rows:
        if row.epoch != last[row.task, row.number_format, row.encoder_seed]:
            continue
        lower = [] if not known else [f"{row.lower_bits:.2f}" if row.lower_bits is not None else "-"]
        width = [] if not known else [f"{row.width_bits:.2f}" if row.width_bits is not None else "-"]
        count = [] if not counted else [f"{row.counted_bits:.2f}" if row.counted_bits is not None else "-"]
        beside = "" if row.code_is_bottleneck else " *"
        lines.append(
            [row.task, row.number_format, row.layer, f"{row.units} x {row.code_bits} bits{beside}", *lower,
             f"{row.upper_bits:.2f}", _which(row), *width, *count, f"{row.i_xh_bits:.2f}"]
        )  # fmt: skip
    text = ["Brackets on I(X;H) in bits at the last epoch, where layers are made of codes", *align(lines)]
    if not all(row.code_is_bottleneck for row in rows):
        text.append("*: real numbers pass beside the codes, which are no bottleneck of the network.")
    return "\n".join(text)


def _which(row: BracketRow) -> str:
    return f"upper end of {row.earlier_layer}" if row.upper_end == "earlier_layer" else ENDS[row.upper_end]
