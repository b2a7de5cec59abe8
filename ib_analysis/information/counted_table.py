"""counted.csv: layers of at most 12 bits, whose entropy is counted, beside what the decoder reads of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ib_analysis.information.columns import CellColumns
from ib_analysis.information.plain_text import align

__all__ = ["CountedRow", "counted_text"]


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


def counted_text(rows: Sequence[CountedRow]) -> str:
    """The counts of each run's last epoch as a table for the terminal; empty without any."""
    if not rows:
        return ""
    last = {(row.task, row.number_format, row.encoder_seed): row.epoch for row in sorted(rows, key=lambda r: r.epoch)}
    known = any(row.lower_bits is not None for row in rows)
    lines = [["task", "format", "layer", "code", "counted", "bias at most", "log2 N"]]
    lines[0] += [*(["lower end"] if known else []), "usable"]
    for row in rows:
        if row.epoch != last[row.task, row.number_format, row.encoder_seed]:
            continue
        lower = [] if not known else [_interval(row.lower_bits, row.lower_bits_low, row.lower_bits_high)]
        mark = "!" if row.saturated else ""
        lines.append(
            [row.task, row.number_format, row.layer, f"{row.units} x {row.code_bits} bits",
             _interval(row.plug_in_bits, row.plug_in_bits_low, row.plug_in_bits_high) + mark, f"{row.bias_bits:.3f}",
             f"{row.log2_images_bits:.2f}", *lower,
             _interval(row.i_xh_bits, row.i_xh_bits_low, row.i_xh_bits_high)]
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
