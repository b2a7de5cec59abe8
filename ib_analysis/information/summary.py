"""An experiment's closing table, as plain text for the terminal."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from ib_analysis.information.cell_text import (
    MARK,
    Finished,
    label_information,
    legend,
    marked,
    number,
    usable,
    with_interval,
)
from ib_analysis.information.format_differences import format_differences
from ib_analysis.information.intervals import Interval
from ib_analysis.information.plain_text import align
from ib_analysis.information.seed_spread import spread_over_seeds
from ib_analysis.information.spike_ins import tolerance
from ib_analysis.information.table import InformationRow, quantized_from
from ib_analysis.information.warnings import NOTE_EXPLANATIONS, split_warnings

__all__ = ["NO_LABELS", "summary"]

NO_LABELS = "I(H;Y), the information plane and what else needs labels is left out: the images have none."

_Of = Callable[[InformationRow], Interval]


def summary(results: Finished) -> str:
    """I(X;H) and I(H;Y) of every task and layer: first, peak (with its epoch) and last, with intervals.

    With several seeds: means over them with intervals for new seeds (`spread_over_seeds`) and the range of single runs,
    and below them I(X;H) of each run at its last epoch.

    The last columns hold the exact entropy of an image and the lower bound on Shannon's I(X;H) at the last epoch, where
    H(X) is known. Cells with warnings are marked, and the warnings explained below.
    """
    rows = results.information
    if not rows:
        return f"{results.experiment}: no cell has been measured."
    several = len({(row.encoder_seed, row.decoder_seed) for row in rows}) > 1
    told = _over_seeds(results) if several else _single_runs(results)
    changed = format_differences(rows, _confidence(results))
    return "\n".join([*told, *changed, *_late_peaks(rows), *_spike_ins(rows), *_notes(rows), *legend(rows)])


def _confidence(results: Finished) -> float:
    return (results.config.get("estimation") or {}).get("confidence", 0.95)


def _single_runs(results: Finished) -> list[str]:
    rows = results.information
    layers = _by_layer(rows)
    known = any(row.h_x_bits is not None for row in rows)
    lines = [["task", "layer", "first", "peak", "last", *(["lower bound, last", "H(X)"] if known else [])]]
    starts = _starts(layers)
    for (subject, layer), found in layers.items():
        cells = sorted(found, key=lambda row: row.epoch)
        line = [subject, layer, *_course(cells, usable, starts[subject])]
        if known:
            line += [_lower_bound(cells[-1]), number(cells[-1].h_x_bits)]
        lines.append(line)
    text = [f"I(X;H) in bits, usable information with its interval ({results.experiment})", *align(lines), ""]

    if not _has_labels(rows):
        return [*text, NO_LABELS]
    lines = [["task", "layer", "first", "peak", "last"]]
    for (subject, layer), found in layers.items():
        cells = sorted(found, key=lambda row: row.epoch)
        lines.append([subject, layer, *_course(cells, label_information, starts[subject])])
    return [*text, "I(H;Y) in bits, lower bound from probes with its interval", *align(lines)]


def _by_layer(rows: Sequence[InformationRow]) -> dict[tuple[str, str], list[InformationRow]]:
    """(task and number format in words, layer) -> its rows, in the order of the table."""
    formats = {row.number_format for row in rows}
    layers: dict[tuple[str, str], list[InformationRow]] = defaultdict(list)
    for row in rows:
        layers[row.task if len(formats) == 1 else f"{row.task} {row.number_format}", row.layer].append(row)
    return layers


def _starts(layers: Mapping[tuple[str, str], Sequence[InformationRow]]) -> dict[str, int]:
    """From which epoch on a peak counts: in quantized networks, once their activations are quantized."""
    subjects = dict.fromkeys(subject for subject, _ in layers)
    return {
        name: quantized_from(row for key, rows in layers.items() if key[0] == name for row in rows) for name in subjects
    }


def _late_peaks(rows: Sequence[InformationRow]) -> list[str]:
    """Why the peak of a quantized network may lie below its first number."""
    layers = _by_layer(rows)
    notes = [
        f"{name}: quantized from epoch {start} on, among which the peak is sought; what comes before is real numbers."
        for name, start in _starts(layers).items()
        if any(row.epoch < start for (subject, _), cells in layers.items() if subject == name for row in cells)
    ]
    return ["", *notes] if notes else []


# ---------------------------------------------------------------------------------------------- spike-ins


def _spike_ins(rows: Sequence[InformationRow]) -> list[str]:
    """Fractions of the known coins that decoders find, first and last; how many cells keep the tolerance."""
    if not any(row.spike_in_bits for row in rows):
        return []
    several = len({(row.encoder_seed, row.decoder_seed) for row in rows}) > 1
    runs: dict[tuple[str, str], list[InformationRow]] = defaultdict(list)
    for (subject, layer), found in _by_layer(rows).items():
        for row in sorted(found, key=lambda row: row.epoch):
            seeds = f" seeds {row.encoder_seed}/{row.decoder_seed}" if several else ""
            runs[subject + seeds, layer].append(row)
    lines = [["task", "layer", "map, first", "last", "mixed, first", "last"]]
    within: dict[str, list[bool]] = {"map": [], "mixed": []}
    bits = max(row.spike_in_bits or 0.0 for row in rows)
    for key, cells in runs.items():
        line = [*key]
        for kind, name in (("map", "spike_in_recovered"), ("mixed", "spike_in_mixed_recovered")):
            line += [_fraction(row, name) for row in (cells[0], cells[-1])]
            recovered = [value for row in cells if (value := getattr(row, name)) is not None]
            within[kind] += [abs(value - 1) <= tolerance(bits) for value in recovered]
        lines.append(line)
    counts = ", ".join(f"{kind} {sum(kept)} of {len(kept)} cells" for kind, kept in within.items())
    return [
        "",
        f"Spike-ins: recovered fraction of {bits:g} known bits with its interval (the truth is 1)",
        *align(lines),
        f"Within max(2 %, 0.5 bit) of the truth: {counts}.",
    ]


def _fraction(row: InformationRow, name: str) -> str:
    value, low, high = (getattr(row, name + end) for end in ("", "_low", "_high"))
    return "-" if value is None else with_interval(Interval(value, low, high), row)


# ---------------------------------------------------------------------------------------------- several seeds


def _over_seeds(results: Finished) -> list[str]:
    """Means over seeds with intervals for new seeds and the range of single runs; then each run's last epoch."""
    rows = results.information
    layers = _by_layer(rows)
    confidence = _confidence(results)
    encoders, decoders = ({getattr(row, f"{kind}_seed") for row in rows} for kind in ("encoder", "decoder"))
    text = [
        f"Over {len(encoders)} encoder and {len(decoders)} decoder seeds: mean [interval for new "
        f"{'encoder' if len(encoders) > 1 else 'decoder'} seeds, t] (lowest to highest single run)",
        "",
    ]
    known = any(row.h_x_bits is not None for row in rows)
    head, starts = ["task", "layer", "first", "peak of the mean", "last"], _starts(layers)
    lines = [
        head,
        *([*key, *_mean_course(found, usable, confidence, starts[key[0]])] for key, found in layers.items()),
    ]
    text += [f"I(X;H) in bits, usable information ({results.experiment})", *align(lines), ""]
    if known:
        lines = [["task", "layer", "lower bound, last", "H(X)"]]
        for key, found in layers.items():
            lines.append([*key, _mean_course(found, _bound, confidence, starts[key[0]])[-1], number(found[0].h_x_bits)])
        text += ["Lower bound on Shannon's I(X;H) in bits", *align(lines), ""]
    lines = [
        head,
        *([*key, *_mean_course(found, label_information, confidence, starts[key[0]])] for key, found in layers.items()),
    ]
    text += ["I(H;Y) in bits, lower bound from probes", *align(lines), ""] if _has_labels(rows) else [NO_LABELS, ""]
    runs = sorted({(row.encoder_seed, row.decoder_seed) for row in rows})
    lines = [["task", "layer", *(f"seeds {encoder}/{decoder}" for encoder, decoder in runs)]]
    for key, found in layers.items():
        last = {(row.encoder_seed, row.decoder_seed): row for row in sorted(found, key=lambda row: row.epoch)}
        lines.append([*key, *(marked(last[run].i_xh_bits, last[run]) if run in last else "-" for run in runs)])
    return [*text, "I(X;H) in bits of single runs (encoder/decoder seed), last epoch", *align(lines)]


def _mean_course(rows: Sequence[InformationRow], of: _Of, confidence: float, start: int) -> list[str]:
    """First epoch, peak of the mean from the start on, and last epoch of one layer."""
    by_epoch: dict[int, list[InformationRow]] = defaultdict(list)
    for row in rows:
        by_epoch[row.epoch].append(row)
    spreads = {
        epoch: spread_over_seeds({(row.encoder_seed, row.decoder_seed): of(row) for row in cells}, confidence)
        for epoch, cells in sorted(by_epoch.items())
    }
    peak = max((epoch for epoch in spreads if epoch >= start), key=lambda epoch: spreads[epoch].mean.estimate)

    def told(epoch: int) -> str:
        found, mark = spreads[epoch], MARK if any(row.warnings for row in by_epoch[epoch]) else ""
        mean = found.mean
        interval = f"{mean.estimate:.2f}{mark} [{mean.low:.2f}, {mean.high:.2f}]"
        return f"{interval} ({found.lowest:.2f} to {found.highest:.2f})"

    return [told(min(spreads)), f"{told(peak)} epoch {peak}", told(max(spreads))]


def _course(cells: Sequence[InformationRow], of: _Of, start: int) -> list[str]:
    """First cell, peak from the start on, and last cell of one layer."""
    peak = max((row for row in cells if row.epoch >= start), key=lambda row: of(row).estimate)
    return [
        with_interval(of(cells[0]), cells[0]),
        f"{with_interval(of(peak), peak)} epoch {peak.epoch}",
        with_interval(of(cells[-1]), cells[-1]),
    ]


def _has_labels(rows: Iterable[InformationRow]) -> bool:
    return any(row.i_hy_bits is not None for row in rows)


def _bound(row: InformationRow) -> Interval:
    """The lower bound; nan where H(X) is not known."""
    ends = row.lower_bound_bits, row.lower_bound_bits_low, row.lower_bound_bits_high
    return Interval(*(math.nan if end is None else end for end in ends))


def _lower_bound(row: InformationRow) -> str:
    return "-" if row.lower_bound_bits is None else with_interval(_bound(row), row)


def _notes(rows: Sequence[InformationRow]) -> list[str]:
    """How far the information moved since half of the decoders' steps; notes, which mark no number."""
    moved = [row for row in rows if row.information_change_bits is not None]
    if not moved:
        return []
    most = max(moved, key=lambda row: abs(row.information_change_bits or 0.0))
    lines = [
        f"From half of the decoders' steps to all of them I(X;H) changed by at most "
        f"{most.information_change_bits:+.2f} bits ({most.task}, {most.layer}, epoch {most.epoch})."
    ]
    counts = Counter(name for row in rows for name in split_warnings(row.notes))
    lines += [
        f"note: {name} (cells: {counts[name]}). {NOTE_EXPLANATIONS.get(name, '')}".rstrip() for name in sorted(counts)
    ]
    return ["", *lines]
