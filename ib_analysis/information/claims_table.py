"""claims.csv: what others found about binary networks, tested with an experiment's own series.

Two claims, of which the abstracts could be read and not the papers' bodies, so that their estimators, layers and
definitions of a phase are not known here; ours are usable information and probes.

- `simultaneous` (Raj, Nayak & Kalyani 2020, arXiv 2006.07522): float networks fit and compress one after the other, in
  binary ones both phases are simultaneous. Tested by the overlap of the two (`ib_analysis.information.simultaneity`):
  is it larger in the binary network than in its float twin, layer by layer?
- `late_compression` (Nothnagel & Geiger 2026, arXiv 2605.03636; 375 binary networks, plug-in estimates where these are
  reliable): late compression is frequent, and compressed representations do not consistently go with better
  generalization. Tested by the share of curves that compress (phases.csv), and by the rank correlation of what they
  lose with the accuracy of their networks on held-out images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ib_analysis.information.intervals import Bootstrap, Interval
from ib_analysis.information.phases_table import CurveKey
from ib_analysis.information.seed_spread import spread_over_seeds
from ib_analysis.information.simultaneity import Overlap, difference_interval, overlap_of
from ib_analysis.information.warnings import join_warnings, split_warnings

__all__ = ["ALL", "LATE_COMPRESSION", "SIMULTANEOUS", "ClaimCurve", "ClaimRow", "claims_text", "simultaneity_rows"]

SIMULTANEOUS, LATE_COMPRESSION = "simultaneous", "late_compression"
ALL = "all"
"""In the place of a layer or number format: about all of them."""
FLOAT = "float32"
AT_ONCE, APART = "at once", "one after the other"
SUPPORTED, CONTRADICTED, UNDECIDED, UNTESTED = "supported", "contradicted", "undecided", "not testable"


@dataclass(frozen=True)
class ClaimRow:
    """One number that speaks for or against a claim, or (quantity `answer`) the sentence about all of them."""

    experiment: str
    """Name of the experiment."""
    claim: str
    """simultaneous or late_compression."""
    source: str
    """Where it is made."""
    task: str
    """What the encoders were trained for."""
    number_format: str
    """Number format of the encoders; two of them for a difference; or all."""
    layer: str
    """The tap, or all."""
    quantity: str
    """overlap, overlap_difference, compressing_share, rank_correlation, rank_correlation_over_cells or answer."""
    value: float | None
    """Of an overlap or a share 0 to 1; empty where it is not known."""
    value_low: float | None
    """Lower end of its interval, where it has one."""
    value_high: float | None
    """Upper end of its interval."""
    p_value: float | None
    """Of a rank correlation, against networks that change places (two-sided)."""
    n_encoder_seeds: int
    """Encoders of a number format."""
    n_decoder_seeds: int
    """Decoders of each."""
    n_curves: int
    """Layers times runs that the row is over."""
    label_rises: str
    """Between which epochs I(H;Y) rises in every run, such as 0-1;1-4."""
    image_falls: str
    """Between which epochs I(X;H) falls in every run."""
    interval: str
    """What the interval is made over."""
    verdict: str
    """Of an overlap: at once, one after the other (its whole interval above or below one half), undecided, or what is
    missing; of a claim: supported, contradicted, undecided, not testable, or mixed over layers; of a rank correlation:
    linked, no link found, or not testable."""
    warnings: str
    """Names of the warnings of the cells, joined by semicolons."""
    finding: str
    """The row in words."""


@dataclass(frozen=True)
class ClaimCurve:
    """One layer of one run under one decoder, at its checkpoints in the order of training.

    Arguments:
        epochs: of the checkpoints.
        code_lengths: shape (T, N), L in bits.
        label_bits: shape (T, N), cross-entropies of the better probe in bits.
        warnings: of the cells, joined by semicolons.
    """

    epochs: tuple[int, ...]
    code_lengths: np.ndarray
    label_bits: np.ndarray
    warnings: str = ""


def claims_text(rows: Iterable[ClaimRow]) -> str:
    """The sentences about the claims, a line each."""
    return "\n".join(f"{row.finding}." for row in rows if row.quantity == "answer")


def simultaneity_rows(
    experiment: str, curves: Mapping[CurveKey, ClaimCurve], bootstrap: Bootstrap, note: str = ""
) -> list[ClaimRow]:
    """Rows of the claim `simultaneous`: the overlap of every layer and number format, the difference of every other
    format from float32, and a sentence for each of these formats.

    Curves of a single checkpoint are left out.

    Arguments:
        curves: of one task; runs of one number format share their epochs.
        note: what else a reader has to know, put at the end of sentences.
    """
    series: dict[tuple[str, str], dict[tuple[int, int], Overlap]] = {}
    for key, curve in curves.items():
        if len(curve.epochs) > 1:
            found = overlap_of(curve.code_lengths, curve.label_bits, bootstrap)
            of = series.setdefault((key.number_format, key.layer), {})
            of[key.encoder_seed, key.decoder_seed] = found
    rows = [_overlap_row(experiment, of, runs, curves, bootstrap) for of, runs in series.items()]
    for number_format in dict.fromkeys(name for name, _ in series if name != FLOAT):
        both = [layer for name, layer in series if name == number_format and (FLOAT, layer) in series]
        own = [
            _difference_row(
                next(row for row in rows if (row.number_format, row.layer) == (number_format, layer)),
                next(row for row in rows if (row.number_format, row.layer) == (FLOAT, layer)),
                series[number_format, layer],
                series[FLOAT, layer],
                bootstrap.confidence,
            )
            for layer in both
        ]
        rows += [*own, *([_answer(own, note)] if own else [])]
    return rows


def _overlap_row(
    experiment: str,
    of: tuple[str, str],
    runs: Mapping[tuple[int, int], Overlap],
    curves: Mapping[CurveKey, ClaimCurve],
    bootstrap: Bootstrap,
) -> ClaimRow:
    number_format, layer = of
    own = [curve for key, curve in curves.items() if (key.number_format, key.layer) == of]
    task = next(key.task for key in curves)
    interval, epochs = None, own[0].epochs
    if all(found.is_known for found in runs.values()):
        intervals = {seeds: found.interval(bootstrap.confidence) for seeds, found in runs.items()}
        interval = _within(spread_over_seeds(intervals, bootstrap.confidence).mean, 0.0)
    rises, falls = (
        _spans(epochs, np.all([getattr(found, kind) for found in runs.values()], axis=0)) for kind in ("rises", "falls")
    )
    verdict = _verdict(list(runs.values()), interval)
    number = "" if interval is None else f", overlap {_told(interval)}"
    return ClaimRow(
        experiment, SIMULTANEOUS, "arXiv 2006.07522", task, number_format, layer, "overlap",
        *_ends(interval), None, *_counts(runs), len(runs), rises, falls, _made_over(runs), verdict,
        join_warnings(name for curve in own for name in split_warnings(curve.warnings)),
        f"{layer}, {number_format}: {verdict}{number}; I(H;Y) rises in epochs {rises or 'none'}, I(X;H) falls in "
        f"epochs {falls or 'none'}",
    )  # fmt: skip


def _difference_row(
    row: ClaimRow,
    twin: ClaimRow,
    runs: Mapping[tuple[int, int], Overlap],
    twins: Mapping[tuple[int, int], Overlap],
    confidence: float,
) -> ClaimRow:
    """A number format's overlap minus that of float32, paired by seeds and images."""
    shared = [seeds for seeds in runs if seeds in twins]
    interval, verdict = None, UNTESTED
    if shared and all(of[seeds].is_known for of in (runs, twins) for seeds in shared):
        by_seed = {seeds: difference_interval(runs[seeds], twins[seeds], confidence) for seeds in shared}
        interval = _within(spread_over_seeds(by_seed, confidence).mean, -1.0)
        verdict = SUPPORTED if interval.low > 0 else CONTRADICTED if interval.high < 0 else UNDECIDED
    name = f"{row.number_format} minus {FLOAT}"
    told = "not known, as something does not rise or fall" if interval is None else _told(interval)
    return ClaimRow(
        row.experiment, row.claim, row.source, row.task, name, row.layer, "overlap_difference", *_ends(interval), None,
        *_counts(dict.fromkeys(shared)), len(shared), "", "", _made_over(dict.fromkeys(shared)), verdict,
        join_warnings(name for one in (row, twin) for name in split_warnings(one.warnings)),
        f"{row.layer}: {verdict}, overlap of {row.number_format} minus that of {FLOAT} {told} ({row.number_format} "
        f"{row.verdict}, {FLOAT} {twin.verdict})",
    )  # fmt: skip


def _answer(rows: Sequence[ClaimRow], note: str) -> ClaimRow:
    """The sentence about one number format against float32."""
    first = rows[0]
    number_format = first.number_format.removesuffix(f" minus {FLOAT}")
    by_verdict: dict[str, list[str]] = {}
    for row in rows:
        by_verdict.setdefault(row.verdict, []).append(row.layer)
    verdict = next(iter(by_verdict)) if len(by_verdict) == 1 else "mixed"
    answer = ", ".join(f"{name} in {' and '.join(layers)}" for name, layers in by_verdict.items())
    warnings = join_warnings(name for row in rows for name in split_warnings(row.warnings))
    parts = "; ".join(row.finding.replace(f"{row.verdict}, ", "", 1) for row in rows)
    return ClaimRow(
        first.experiment, first.claim, first.source, first.task, first.number_format, ALL, "answer", None, None, None,
        None, first.n_encoder_seeds, first.n_decoder_seeds, sum(row.n_curves for row in rows), "", "", first.interval,
        verdict, warnings,
        f"Fitting and compression at once in {number_format} networks, one after the other in float ones "
        f"({first.source}, of which the abstract was read)? {answer} ({parts}; {first.interval})"
        + (f"; {note}" if note else "")
        + (" [with warnings]" if warnings else ""),
    )  # fmt: skip


def _verdict(runs: Sequence[Overlap], interval: Interval | None) -> str:
    if not all(found.finite for found in runs):
        return "not judged"
    for kind, what in (("rises", "rise of I(H;Y)"), ("falls", "fall of I(X;H)")):
        missing = sum(not getattr(found, kind).any() for found in runs)
        if missing:
            return f"no {what} found" + (f" in {missing} of {len(runs)} runs" if len(runs) > 1 else "")
    assert interval is not None
    return AT_ONCE if interval.low > 0.5 else APART if interval.high < 0.5 else UNDECIDED


def _spans(epochs: Sequence[int], steps: np.ndarray) -> str:
    """
    >>> _spans([0, 1, 4, 9], np.array([True, False, True]))
    '0-1;4-9'
    """
    return ";".join(f"{epochs[k]}-{epochs[k + 1]}" for k in np.flatnonzero(steps).tolist())


def _within(interval: Interval, least: float) -> Interval:
    """A t-interval may leave the range of what it is about."""
    return Interval(interval.estimate, max(least, interval.low), min(1.0, interval.high))


def _ends(interval: Interval | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if interval is None else (interval.estimate, interval.low, interval.high)


def _told(interval: Interval) -> str:
    return f"{interval.estimate:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def _counts(runs: Mapping[tuple[int, int], object]) -> tuple[int, int]:
    return len({encoder for encoder, _ in runs}), len({decoder for _, decoder in runs})


def _made_over(runs: Mapping[tuple[int, int], object]) -> str:
    encoders, decoders = _counts(runs)
    if len(runs) < 2:
        return "bootstrap over images"
    return f"t over {encoders} encoder and {decoders} decoder seeds, images in quadrature"
