"""stream_verdict.csv: whether the transient stream is where information about the image is discarded.

Targ et al. 2016 (arXiv 1603.08029) give a network a stream without shortcut so that it can let go of what earlier
layers found. For every block this asks two things of the paired differences D = I(X;r) - I(X;t), and one of I(X;t):

- at the last epoch, whether D is above zero: the transient stream then holds less of the image than the residual one;
- from the first epoch to the last, whether D grew: what it holds less was then not already missing in a network of
  random weights, which has no shortcut around that stream either;
- from its peak to the last epoch, whether I(X;t) fell (`ib_analysis.information.phases`): only then was something
  discarded. A stream that rose more slowly than the other one has gained less, and let go of nothing.

All blocks of a task are judged together: their intervals hold at once (Bonferroni), so that a sentence about all of
them is as sure as its parts. Beside it stands J = I(r;Y) - I(t;Y): a stream that holds less of the image and no less of
the label has let go of what the label does not need.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ib_analysis.information.intervals import Bootstrap, Interval, paired_bootstrap_intervals
from ib_analysis.information.phases import Phases, phases_over_images
from ib_analysis.information.seed_spread import spread_over_seeds
from ib_analysis.information.seeds import phases_over_seeds
from ib_analysis.information.warnings import join_warnings, split_warnings

__all__ = ["ALL_BLOCKS", "BlockStreams", "StreamVerdictRow", "stream_verdict_text", "stream_verdicts"]

ALL_BLOCKS = "all"
"""In the place of a block: the row whose finding is about all of them."""
IN_TRAINING, GAINED_LESS = "discarded in training", "gained less in training"
FROM_THE_START, AT_THE_END = "less from the start", "less at the end"
_LESS = (IN_TRAINING, GAINED_LESS, FROM_THE_START, AT_THE_END)
_ALL_LESS = "in all blocks it tells less about the image than the residual one"
MORE, UNDECIDED, NOT_JUDGED = "not discarded", "undecided", "not judged"


@dataclass(frozen=True)
class StreamVerdictRow:
    """One block, or all blocks of a task and number format, over all seeds. Differences: residual minus transient."""

    experiment: str
    """Name of the experiment."""
    task: str
    """What the encoder was trained for."""
    number_format: str
    """Number format of the encoder."""
    block: str
    """Place in the network: h1, h2, h3, behind the last block of a stage, h4, their spatial mean, or all."""
    n_encoder_seeds: int
    """Encoders that the row is over."""
    n_decoder_seeds: int
    """Decoders of each."""
    n_images: int
    """Evaluation images."""
    first_epoch: int
    """From which growth is counted."""
    last_epoch: int
    """At which the streams are compared."""
    image_bits: float | None
    """I(X;r) - I(X;t) at the last epoch; as all numbers, empty in the row about all blocks."""
    image_bits_low: float | None
    """Lower end of its interval."""
    image_bits_high: float | None
    """Upper end of its interval."""
    image_growth_bits: float | None
    """The same minus what it was at the first epoch; empty where one epoch alone was measured."""
    image_growth_bits_low: float | None
    """Lower end of its interval."""
    image_growth_bits_high: float | None
    """Upper end of its interval."""
    label_bits: float | None
    """I(r;Y) - I(t;Y) at the last epoch."""
    label_bits_low: float | None
    """Lower end of its interval."""
    label_bits_high: float | None
    """Upper end of its interval."""
    confidence: float
    """That all intervals of the task and format about one quantity hold at once; each for itself holds more surely."""
    interval: str
    """What intervals are made over."""
    verdict: str
    """discarded in training: the transient stream tells less of the image, by more than at the first epoch, and less
    than at its own peak; gained less in training: the same without a fall from its peak; less from the start: it tells
    less, as at the first epoch, and not by more since; less at the end: it tells less, and neither is known; not
    discarded: it tells more; undecided; or not judged. Of all blocks: theirs, or mixed."""
    warnings: str
    """Names of the warnings of the cells, joined by semicolons."""
    finding: str
    """The verdict in words."""
    transient_peak_epoch: int | None = None
    """Where I(X;t) is largest; as the loss, empty where one epoch alone was measured."""
    transient_loss_bits: float | None = None
    """What I(X;t) fell from its peak to the last epoch."""
    transient_loss_bits_low: float | None = None
    """Lower end of its interval; above zero where it fell."""
    transient_loss_bits_high: float | None = None
    """Upper end of its interval."""


@dataclass(frozen=True)
class BlockStreams:
    """What is known of one block of one run under one decoder, residual minus transient, of every evaluation image.

    Arguments:
        image: shape (N,), the difference in bits about the image at the last epoch: L of the transient stream minus
            that of the residual one.
        image_first: the same at the first epoch; None where one epoch alone was measured.
        label: shape (N,), the difference in bits about the label at the last epoch.
        transient: shape (T, N), L of the transient stream at every epoch that was measured.
        warnings: of the cells, joined by semicolons.
    """

    image: np.ndarray
    image_first: np.ndarray | None
    label: np.ndarray
    transient: np.ndarray
    warnings: str


def stream_verdicts(
    experiment: str,
    of: tuple[str, str],
    epochs: Sequence[int],
    blocks: dict[str, dict[tuple[int, int], BlockStreams]],
    bootstrap: Bootstrap,
) -> list[StreamVerdictRow]:
    """The rows of one task and number format: one per block, and one about all of them.

    Arguments:
        experiment: its name.
        of: task and number format.
        epochs: all that are measured, in order.
        blocks: block -> (encoder seed, decoder seed) -> what is known of it; the same runs for all blocks.
        bootstrap: its confidence is that of all blocks' intervals at once.
    """
    each = replace(bootstrap, confidence=1 - (1 - bootstrap.confidence) / len(blocks))
    rows = [_row(experiment, of, epochs, block, runs, each, bootstrap.confidence) for block, runs in blocks.items()]
    return [*rows, _about_all(rows)]


def stream_verdict_text(rows: Sequence[StreamVerdictRow]) -> str:
    """The sentence about all blocks, one per task and number format."""
    return "\n".join(f"{row.finding}." for row in rows if row.block == ALL_BLOCKS)


def _row(
    experiment: str,
    of: tuple[str, str],
    epochs: Sequence[int],
    block: str,
    runs: dict[tuple[int, int], BlockStreams],
    each: Bootstrap,
    confidence: float,
) -> StreamVerdictRow:
    found: dict[str, dict[tuple[int, int], Interval]] = {"image": {}, "label": {}, "first": {}, "growth": {}}
    for seeds, run in runs.items():
        values = [run.image, run.label]
        if run.image_first is not None:
            values += [run.image_first, run.image - run.image_first]
        for name, interval in zip(found, paired_bootstrap_intervals(np.stack(values), each), strict=False):
            found[name][seeds] = interval
    image, label, first, growth = (
        spread_over_seeds(of_runs, each.confidence).mean if of_runs else None for of_runs in found.values()
    )
    assert image is not None
    assert label is not None
    phases = _phases_of_transient(runs, each) if len(epochs) > 1 else None
    loss = None if phases is None else phases.compression_loss
    verdict = _verdict(image, first, growth, loss)
    n_encoders, n_decoders = (len({seeds[place] for seeds in runs}) for place in (0, 1))
    made_over = (
        f"t over {n_encoders} encoder and {n_decoders} decoder seeds, images in quadrature"
        if len(runs) > 1
        else "bootstrap over images"
    )
    return StreamVerdictRow(
        experiment, *of, block, n_encoders, n_decoders, len(next(iter(runs.values())).image), epochs[0], epochs[-1],
        *_ends(image), *_ends(growth), *_ends(label), confidence, made_over, verdict,
        join_warnings(name for run in runs.values() for name in split_warnings(run.warnings)),
        f"{block}: {verdict}, residual minus transient {_told(image, 1)} bits about the image"
        + (f" ({_told(growth, 1)} since epoch {epochs[0]})" if growth is not None else "")
        + f", {_told(label, 3)} about the label"
        + (f"; the transient stream lost {_told(loss, 1)} since its peak" if loss is not None else ""),
        None if phases is None else epochs[phases.peak], *_ends(loss),
    )  # fmt: skip


def _phases_of_transient(runs: dict[tuple[int, int], BlockStreams], each: Bootstrap) -> Phases:
    encoders, decoders = (sorted({seeds[place] for seeds in runs}) for place in (0, 1))
    lengths = np.stack([np.stack([runs[encoder, decoder].transient for decoder in decoders]) for encoder in encoders])
    return phases_over_images(lengths[0, 0], each) if len(runs) == 1 else phases_over_seeds(lengths, each)


def _ends(interval: Interval | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if interval is None else (interval.estimate, interval.low, interval.high)


def _told(interval: Interval, decimals: int) -> str:
    estimate, low, high = (f"{value:+.{decimals}f}" for value in (interval.estimate, interval.low, interval.high))
    return f"{estimate} [{low}, {high}]"


def _verdict(image: Interval, first: Interval | None, growth: Interval | None, loss: Interval | None) -> str:
    """Arguments: the difference at the last and at the first epoch, how much it grew, and what the transient stream
    lost since its peak."""
    if not _finite(image):
        return NOT_JUDGED
    if image.high < 0:
        return MORE
    if image.low <= 0:
        return UNDECIDED
    if first is None or growth is None or not _finite(growth):
        return AT_THE_END
    if growth.low > 0:
        return IN_TRAINING if loss is not None and loss.low > 0 else GAINED_LESS
    return FROM_THE_START if first.low > 0 else AT_THE_END


def _finite(interval: Interval) -> bool:
    return all(math.isfinite(value) for value in (interval.estimate, interval.low, interval.high))


def _about_all(rows: Sequence[StreamVerdictRow]) -> StreamVerdictRow:
    """The row about all blocks."""
    less = [row for row in rows if row.verdict in _LESS]
    answer = _answer([row.verdict for row in rows])
    needed = [row.block for row in less if row.label_bits_low is not None and row.label_bits_low > 0]
    also = f"; it also tells less about the label in {_listed(needed)}" if needed else ""
    first = rows[0]
    of = ", ".join([first.task, *([first.number_format] if first.number_format != "float32" else [])])
    parts = "; ".join(f"{row.block} {row.verdict}, {_bits(row)}" for row in rows)
    verdicts = {row.verdict for row in rows}
    names = join_warnings(name for row in rows for name in split_warnings(row.warnings))
    return replace(
        first,
        block=ALL_BLOCKS,
        image_bits=None,
        image_bits_low=None,
        image_bits_high=None,
        image_growth_bits=None,
        image_growth_bits_low=None,
        image_growth_bits_high=None,
        label_bits=None,
        label_bits_low=None,
        label_bits_high=None,
        transient_peak_epoch=None,
        transient_loss_bits=None,
        transient_loss_bits_low=None,
        transient_loss_bits_high=None,
        verdict=verdicts.pop() if len(verdicts) == 1 else "mixed",
        warnings=names,
        finding=f"Is the transient stream where information is discarded ({of}, epoch {first.last_epoch})? {answer} "
        f"({parts}; residual minus transient in bits, {first.confidence:.0%} intervals that hold for all blocks at "
        f"once: {first.interval}){also}" + (" [with warnings]" if names else ""),
    )


def _answer(verdicts: Sequence[str]) -> str:
    """What several blocks' verdicts say together.

    >>> _answer([IN_TRAINING, IN_TRAINING])
    'yes, in all blocks it tells less about the image than the residual one, and less than earlier in training'
    >>> _answer([GAINED_LESS, GAINED_LESS])
    'no, in all blocks it tells less about the image than the residual one, but only gained less'
    >>> _answer([IN_TRAINING, MORE])
    'it depends on the block'
    """
    less, more = (sum(verdict in kinds for verdict in verdicts) for kinds in (_LESS, (MORE,)))
    if set(verdicts) == {IN_TRAINING}:
        return f"yes, {_ALL_LESS}, and less than earlier in training"
    if set(verdicts) == {GAINED_LESS}:
        return f"no, {_ALL_LESS}, but only gained less"
    if set(verdicts) == {FROM_THE_START}:
        return f"not by training: {_ALL_LESS}, as before training"
    if less == len(verdicts):
        return _ALL_LESS
    if less and more:
        return "it depends on the block"
    if less:
        return "in some blocks it tells less about the image than the residual one, in the others this is not decided"
    if more:
        every = "in all blocks" if more == len(verdicts) else "where it is decided"
        return f"no, {every} it tells more about the image than the residual one"
    return "not decided"


def _bits(row: StreamVerdictRow) -> str:
    return f"{row.image_bits:+.1f} [{row.image_bits_low:+.1f}, {row.image_bits_high:+.1f}]"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
