"""streams.csv: what the residual and the transient stream of a block tell, and the paired difference of the two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ib_analysis.information.change import information_still_moving
from ib_analysis.information.intervals import Bootstrap, Interval, paired_bootstrap_intervals
from ib_analysis.information.seed_spread import spread_over_seeds
from ib_analysis.information.warnings import join_warnings, split_warnings

__all__ = ["StreamBits", "StreamRow", "last_rows", "rows_over_seeds", "stream_row", "streams_text"]


@dataclass(frozen=True)
class StreamRow:
    """Both streams of one block at one epoch, a row of streams.csv: of one run and decoder, or over all seeds.

    Differences are residual minus transient: above zero where the residual stream tells more.
    """

    experiment: str
    """Name of the experiment."""
    task: str
    """What the encoder was trained for."""
    number_format: str
    """Number format of the encoder."""
    encoder_seed: int | None
    """Seed of the encoder; empty in a row over seeds."""
    decoder_seed: int | None
    """Seed of the decoders; empty in a row over seeds."""
    epoch: int
    """Training epochs that the encoder had seen."""
    block: str
    """Place in the network: h1, h2, h3, behind the last block of a stage, or h4, their spatial mean."""
    residual_layer: str
    """The tap of its residual stream."""
    transient_layer: str
    """The tap of its transient stream."""
    n_images: int
    """Evaluation images."""
    i_xh_residual_bits: float
    """Usable information about the image in the residual stream: mean(L0 - L)."""
    i_xh_transient_bits: float
    """The same in the transient stream."""
    i_xh_difference_bits: float
    """The first minus the second: a mean difference of code lengths, paired image by image, without L0."""
    i_xh_difference_bits_low: float
    """Lower end of its interval."""
    i_xh_difference_bits_high: float
    """Upper end of its interval."""
    i_hy_residual_bits: float
    """Information about the label in the residual stream, a lower bound from a probe."""
    i_hy_transient_bits: float
    """The same in the transient stream."""
    i_hy_difference_bits: float
    """The first minus the second, paired image by image."""
    i_hy_difference_bits_low: float
    """Lower end of its interval."""
    i_hy_difference_bits_high: float
    """Upper end of its interval."""
    interval: str
    """What intervals are made over."""
    warnings: str
    """Names of the warnings of both cells and of the difference, joined by semicolons."""
    finding: str
    """The differences in words."""
    i_xh_difference_change_bits: float | None = None
    """i_xh_difference_bits minus what it was when the decoders' fits had ended at half of their steps; empty where they
    ended once."""


@dataclass(frozen=True)
class StreamBits:
    """What one stream's decoder and probe say of every evaluation image.

    Arguments:
        code_lengths: shape (N,), L in bits.
        label_bits: shape (N,), cross-entropy of the label in bits.
        i_xh_bits, i_hy_bits: the cell's estimates.
        warnings: of the cell, joined by semicolons.
        halfway: code lengths when the decoder's fit ended at half of its steps, shape (N,), where it did.
    """

    code_lengths: np.ndarray
    label_bits: np.ndarray
    i_xh_bits: float
    i_hy_bits: float
    warnings: str
    halfway: np.ndarray | None = None


def stream_row(
    experiment: str,
    run: tuple[str, str, int, int],
    epoch: int,
    block: tuple[str, str, str],
    streams: tuple[StreamBits, StreamBits],
    bootstrap: Bootstrap,
) -> StreamRow:
    """The row of one run, block and epoch.

    Arguments:
        run: task, number format, encoder seed, decoder seed.
        block: name of the block, tap of its residual and tap of its transient stream.
        streams: what the residual and what the transient one says of the same images.
        bootstrap: of the intervals, over images.
    """
    residual, transient = streams
    about_image = transient.code_lengths - residual.code_lengths
    differences = np.stack([about_image, transient.label_bits - residual.label_bits])
    i_xh, i_hy = paired_bootstrap_intervals(differences, bootstrap)
    change = None
    if residual.halfway is not None and transient.halfway is not None:
        change = i_xh.estimate - float((transient.halfway - residual.halfway).mean())
    names = [name for part in streams for name in split_warnings(part.warnings)]
    if change is not None and information_still_moving(i_xh, change):
        names.append("stream_difference_still_moving")
    return _with_finding(
        StreamRow(
            experiment, *run, epoch, *block,
            n_images=len(about_image),
            i_xh_residual_bits=residual.i_xh_bits,
            i_xh_transient_bits=transient.i_xh_bits,
            i_xh_difference_bits=i_xh.estimate,
            i_xh_difference_bits_low=i_xh.low,
            i_xh_difference_bits_high=i_xh.high,
            i_hy_residual_bits=residual.i_hy_bits,
            i_hy_transient_bits=transient.i_hy_bits,
            i_hy_difference_bits=i_hy.estimate,
            i_hy_difference_bits_low=i_hy.low,
            i_hy_difference_bits_high=i_hy.high,
            interval="bootstrap over images",
            warnings=join_warnings(names),
            finding="",
            i_xh_difference_change_bits=change,
        )
    )  # fmt: skip


def rows_over_seeds(rows: Sequence[StreamRow], confidence: float) -> list[StreamRow]:
    """A row over all seeds for every task, format, block and epoch that was measured with several; see
    `spread_over_seeds`.

    Arguments:
        rows: of single runs.
        confidence: level of their intervals and of the new ones.
    """
    groups: dict[tuple[str, str, str, int], list[StreamRow]] = {}
    for row in rows:
        groups.setdefault((row.task, row.number_format, row.block, row.epoch), []).append(row)
    found = []
    for group in groups.values():
        if len(group) < 2:
            continue
        means = {name: _mean(group, name, confidence) for name in ("i_xh_difference_bits", "i_hy_difference_bits")}
        changes = [row.i_xh_difference_change_bits for row in group]
        known = [change for change in changes if change is not None]
        numbers: dict[str, Any] = {f"{name}{end}": value for name, of in means.items() for end, value in _ends(of)}
        for name in ("i_xh_residual_bits", "i_xh_transient_bits", "i_hy_residual_bits", "i_hy_transient_bits"):
            numbers[name] = float(np.mean([getattr(row, name) for row in group]))
        together = replace(
            group[0],
            encoder_seed=None,
            decoder_seed=None,
            interval=f"t over {len({row.encoder_seed for row in group})} encoder and "
            f"{len({row.decoder_seed for row in group})} decoder seeds, images in quadrature",
            warnings=join_warnings(name for row in group for name in split_warnings(row.warnings)),
            i_xh_difference_change_bits=float(np.mean(known)) if len(known) == len(group) else None,
            **numbers,
        )
        found.append(_with_finding(together))
    return found


def last_rows(rows: Iterable[StreamRow]) -> list[StreamRow]:
    """The rows of the last epoch: over seeds where there are such, else of the single runs."""
    known = list(rows)
    at_end = [row for row in known if row.epoch == max(other.epoch for other in known)]
    over_seeds = [row for row in at_end if row.encoder_seed is None]
    return over_seeds or at_end


def streams_text(rows: Iterable[StreamRow]) -> str:
    """The findings at the last epoch, a line each."""
    found = last_rows(rows)
    title = f"Residual against transient stream, with paired intervals ({found[0].interval})"
    return "\n".join([title, *(f"  {row.finding}." for row in found)])


def _mean(group: Sequence[StreamRow], name: str, confidence: float) -> Interval:
    runs = {
        (row.encoder_seed or 0, row.decoder_seed or 0): Interval(*(getattr(row, name + end) for end in _ENDS))
        for row in group
    }
    return spread_over_seeds(runs, confidence).mean


_ENDS = ("", "_low", "_high")


def _ends(interval: Interval) -> Iterable[tuple[str, float]]:
    return zip(_ENDS, (interval.estimate, interval.low, interval.high), strict=True)


def _with_finding(row: StreamRow) -> StreamRow:
    words = [row.block, row.task, *([row.number_format] if row.number_format != "float32" else [])]
    if row.encoder_seed is not None and (row.encoder_seed or row.decoder_seed):
        words.append(f"seeds {row.encoder_seed}/{row.decoder_seed}")
    about_image = _compared(row, "i_xh_difference_bits", "image", 1)
    about_label = _compared(row, "i_hy_difference_bits", "label", 3)
    text = f"{', '.join(words)}, epoch {row.epoch}: {about_image}; {about_label}"
    names = ", ".join(name.replace("_", " ") for name in split_warnings(row.warnings))
    return replace(row, finding=text + (f" [warning: {names}]" if names else ""))


def _compared(row: StreamRow, name: str, about: str, decimals: int) -> str:
    """One comparison in words."""
    value, low, high = (getattr(row, name + end) for end in _ENDS)
    if not np.isfinite([value, low, high]).all():
        return f"not judged about the {about}, numbers that are not finite"
    if low <= 0 <= high:
        return (
            f"no difference found about the {about} (residual minus transient {value:+.{decimals}f} bits "
            f"[{low:+.{decimals}f}, {high:+.{decimals}f}])"
        )
    more, less = ("residual", "transient") if value > 0 else ("transient", "residual")
    size, ends = abs(value), sorted((abs(low), abs(high)))
    return (
        f"the {more} stream tells {size:.{decimals}f} bits [{ends[0]:.{decimals}f}, {ends[1]:.{decimals}f}] more about "
        f"the {about} than the {less} one"
    )
