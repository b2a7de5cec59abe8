"""Two experiments side by side, as plain text for the terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ib_analysis.information.cell_text import Finished, label, label_information, legend, marked, run_of, usable
from ib_analysis.information.plain_text import align
from ib_analysis.information.table import InformationRow

__all__ = ["compare"]


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
        several = len({run_of(row)[1:] for row, _ in pairs}) > 1
        lines = [["task", "layer", "epoch", "I(X;H) a", "b", "b - a", "I(H;Y) a", "b", "b - a"]]
        for row_a, row_b in pairs:
            line = [label((*run_of(row_a), row_a.layer), several), row_a.layer, str(row_a.epoch)]
            for of in (usable, label_information):
                left, right = of(row_a), of(row_b)
                star = "" if left.overlaps(right) else " *"
                difference = f"{right.estimate - left.estimate:+.2f}{star}"
                line += [marked(left.estimate, row_a), marked(right.estimate, row_b), difference]
            lines.append(line)
        text += align(lines)
    else:
        text.append("no cell in common")
    if lone_a or lone_b:
        text.append(f"Cells without a partner: {lone_a} in a, {lone_b} in b.")
    if any(row.warnings for pair in pairs for row in pair):
        text += legend(row for pair in pairs for row in pair)
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
        runs_b = {run_of(row): row for row in rows_b}
        found = [(row, runs_b[run_of(row)]) for row in rows_a if run_of(row) in runs_b]
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
