"""Results as plain text for the terminal: one experiment's closing table, and two experiments side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from ib_analysis.information.intervals import Interval
from ib_analysis.information.spike_ins import tolerance
from ib_analysis.information.table import InformationRow
from ib_analysis.information.warnings import EXPLANATIONS, split_warnings

__all__ = ["Finished", "align", "compare", "summary"]

MARK = "!"
"""Stands behind the number of a cell with warnings."""


class Finished(Protocol):
    """What is needed of an experiment's results, as `ib_analysis.load_results` gives them."""

    @property
    def experiment(self) -> str: ...

    @property
    def information(self) -> Sequence[InformationRow]: ...

    @property
    def config(self) -> Mapping[str, Any]: ...


# ---------------------------------------------------------------------------------------------- one experiment


def summary(results: Finished) -> str:
    """I(X;H) and I(H;Y) of every task and layer: first, peak (with its epoch) and last, with intervals.

    The last columns hold the exact entropy of an image and the lower bound on Shannon's I(X;H) at the last epoch,
    where H(X) is known. Cells with warnings are marked, and the warnings explained below.
    """
    rows = results.information
    if not rows:
        return f"{results.experiment}: no cell has been measured."
    groups: dict[tuple[str, str, int, int, str], list[InformationRow]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.epoch):
        groups[(*_run(row), row.layer)].append(row)
    several = len({_run(row)[1:] for row in rows}) > 1
    known = any(row.h_x_bits is not None for row in rows)

    lines = [["task", "layer", "first", "peak", "last", *(["lower bound, last", "H(X)"] if known else [])]]
    for key, cells in groups.items():
        line = [_label(key, several), key[-1], *_course(cells, _usable)]
        if known:
            line += [_lower_bound(cells[-1]), _number(cells[-1].h_x_bits)]
        lines.append(line)
    text = [f"I(X;H) in bits, usable information with its interval ({results.experiment})", *align(lines), ""]

    lines = [["task", "layer", "first", "peak", "last"]]
    lines += [[_label(key, several), key[-1], *_course(cells, _label_information)] for key, cells in groups.items()]
    text += ["I(H;Y) in bits, lower bound from probes with its interval", *align(lines)]
    if any(row.spike_in_bits for row in rows):
        text += _spike_ins([(_label(key, several), cells) for key, cells in groups.items()])
    return "\n".join([*text, *_legend(rows)])


def _spike_ins(layers: Iterable[tuple[str, Sequence[InformationRow]]]) -> list[str]:
    """Fractions of the known coins that decoders find, first and last; how many cells keep the tolerance."""
    lines = [["task", "layer", "map, first", "last", "mixed, first", "last"]]
    within: dict[str, list[bool]] = {"map": [], "mixed": []}
    bits = 0.0
    for label, cells in layers:
        line = [label, cells[0].layer]
        for kind, name in (("map", "spike_in_recovered"), ("mixed", "spike_in_mixed_recovered")):
            line += [_fraction(row, name) for row in (cells[0], cells[-1])]
            for row in cells:
                recovered = getattr(row, name)
                if row.spike_in_bits and recovered is not None:
                    bits = row.spike_in_bits
                    within[kind].append(abs(recovered - 1) <= tolerance(bits))
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
    return "-" if value is None else _with_interval(Interval(value, low, high), row)


def _course(cells: Sequence[InformationRow], of: Any) -> list[str]:
    """First, peak and last cell of one layer."""
    peak = max(cells, key=lambda row: of(row).estimate)
    return [
        _with_interval(of(cells[0]), cells[0]),
        f"{_with_interval(of(peak), peak)} epoch {peak.epoch}",
        _with_interval(of(cells[-1]), cells[-1]),
    ]


def _usable(row: InformationRow) -> Interval:
    return Interval(row.i_xh_bits, row.i_xh_bits_low, row.i_xh_bits_high)


def _label_information(row: InformationRow) -> Interval:
    return Interval(row.i_hy_bits, row.i_hy_bits_low, row.i_hy_bits_high)


def _lower_bound(row: InformationRow) -> str:
    if row.lower_bound_bits is None or row.lower_bound_bits_low is None or row.lower_bound_bits_high is None:
        return "-"
    return _with_interval(Interval(row.lower_bound_bits, row.lower_bound_bits_low, row.lower_bound_bits_high), row)


def _legend(rows: Iterable[InformationRow]) -> list[str]:
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        for name in split_warnings(row.warnings):
            counts[name] += 1
    if not counts:
        return []
    lines = [f"{MARK} {name} (cells: {counts[name]}). {EXPLANATIONS.get(name, '')}".rstrip() for name in sorted(counts)]
    return ["", *lines]


# ---------------------------------------------------------------------------------------------- two experiments


def compare(a: Finished, b: Finished) -> str:
    """The cells that two experiments share, with differences (b minus a), and what differs in their configs.

    Cells are matched by task, layer and epoch, and by number format and seeds where these are the same; a single run
    in each also matches one of another format or seed. A star marks differences whose intervals do not overlap.
    """
    text = [f"a: {a.experiment}", f"b: {b.experiment}", "", "Config"]
    changes = _config_differences(a.config, b.config)
    text += align([["field", "a", "b"], *changes]) if changes else ["the same"]

    pairs, lone_a, lone_b = _matched(a.information, b.information)
    text += ["", "Information in bits: b - a (* intervals do not overlap)"]
    if pairs:
        several = len({_run(row)[1:] for row, _ in pairs}) > 1
        lines = [["task", "layer", "epoch", "I(X;H) a", "b", "b - a", "I(H;Y) a", "b", "b - a"]]
        for row_a, row_b in pairs:
            line = [_label((*_run(row_a), row_a.layer), several), row_a.layer, str(row_a.epoch)]
            for of in (_usable, _label_information):
                left, right = of(row_a), of(row_b)
                star = "" if left.overlaps(right) else " *"
                difference = f"{right.estimate - left.estimate:+.2f}{star}"
                line += [_marked(left.estimate, row_a), _marked(right.estimate, row_b), difference]
            lines.append(line)
        text += align(lines)
    else:
        text.append("no cell in common")
    if lone_a or lone_b:
        text.append(f"Cells without a partner: {lone_a} in a, {lone_b} in b.")
    if any(row.warnings for pair in pairs for row in pair):
        text += _legend(row for pair in pairs for row in pair)
    return "\n".join(text)


def _matched(
    a: Sequence[InformationRow], b: Sequence[InformationRow]
) -> tuple[list[tuple[InformationRow, InformationRow]], int, int]:
    """Pairs of rows, sorted, and how many rows of a and of b have no partner."""
    by_cell: dict[tuple[str, str, int], tuple[list[InformationRow], list[InformationRow]]] = defaultdict(
        lambda: ([], [])
    )
    for side, rows in enumerate((a, b)):
        for row in rows:
            by_cell[row.task, row.layer, row.epoch][side].append(row)
    pairs = []
    for cell in sorted(by_cell):
        rows_a, rows_b = by_cell[cell]
        runs_b = {_run(row): row for row in rows_b}
        found = [(row, runs_b[_run(row)]) for row in rows_a if _run(row) in runs_b]
        if not found and len(rows_a) == len(rows_b) == 1:
            found = [(rows_a[0], rows_b[0])]
        pairs += found
    return pairs, len(a) - len(pairs), len(b) - len(pairs)


def _config_differences(a: Any, b: Any, where: str = "") -> list[list[str]]:
    """Lines (field, value in a, value in b) of plain config data, without the experiments' own names."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        lines = []
        for key in sorted({*a, *b}):
            if where or key != "name":
                lines += _config_differences(a.get(key), b.get(key), f"{where}.{key}" if where else str(key))
        return lines
    return [] if a == b else [[where, str(a), str(b)]]


# ---------------------------------------------------------------------------------------------- text


def _run(row: InformationRow) -> tuple[str, str, int, int]:
    return row.task, row.number_format, row.encoder_seed, row.decoder_seed


def _label(key: tuple[str, str, int, int, str], several: bool) -> str:
    task, number_format, encoder_seed, decoder_seed, _ = key
    return f"{task} {number_format} seeds {encoder_seed}/{decoder_seed}" if several else task


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _marked(value: float, row: InformationRow) -> str:
    return f"{value:.2f}{MARK if row.warnings else ''}"


def _with_interval(interval: Interval, row: InformationRow) -> str:
    return f"{_marked(interval.estimate, row)} [{interval.low:.2f}, {interval.high:.2f}]"


def align(lines: Sequence[Sequence[str]]) -> list[str]:
    """Columns of text, two spaces apart, left-aligned, with a rule below the first line.

    >>> print("\\n".join(align([["layer", "bits"], ["h1", "12.5"]])))
    layer  bits
    -----------
    h1     12.5
    """
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    padded = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return [padded[0], "-" * max(map(len, padded)), *padded[1:]]
