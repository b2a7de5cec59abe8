"""The table of controls for a reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ib_analysis.studies.controls.row import ControlRow

__all__ = ["summary"]


def summary(rows: Sequence[ControlRow], left_out: Mapping[str, str]) -> str:
    """Every control's numbers with intervals and verdicts; of the pairs of layers the violations alone.

    Arguments:
        left_out: controls that were not made, and why.
    """
    lines = [
        "Controls, in bits [95 % interval]; the column says whether each keeps its rule.",
        f"{'control':16s} {'of':24s} {'quantity':36s} {'bits':>8s} {'interval':>19s}  passed",
    ]
    for row in rows:
        if row.control == "data_processing" and row.passed != "violation":
            continue
        place = row.layer
        if row.control in ("untrained", "data_processing"):
            place += f", epoch {row.epoch}"
        if row.control == "data_processing":
            place += f", {row.task[:5]}."
        interval = f"[{row.low:.2f}, {row.high:.2f}]"
        warned = f"  ({row.warnings})" if row.warnings else ""
        lines.append(
            f"{row.control:16s} {place:24s} {row.quantity:36s} {row.bits:8.2f} {interval:>19s}  {row.passed}{warned}"
        )
    pairs = [row for row in rows if row.control == "data_processing"]
    if pairs:
        violations = sum(row.passed == "violation" for row in pairs)
        lines.append(
            f"Data-processing inequality: violated by usable information in {violations} of {len(pairs)} pairs of "
            "layers (which is possible; docs/method.md says when)."
        )
    judged = [row for row in rows if row.passed in ("yes", "no") and row.control != "data_processing"]
    kept = sum(row.passed == "yes" for row in judged)
    lines.append(f"Rules kept: {kept} of {len(judged)}.")
    lines += [f"Left out: {name}: {why}." for name, why in left_out.items()]
    return "\n".join(lines)
