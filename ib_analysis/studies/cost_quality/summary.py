"""The tables of the study for a reader."""

from __future__ import annotations

from ib_analysis.information.plain_text import align
from ib_analysis.studies.cost_quality.rows import COST_MODELS, DominanceRow
from ib_analysis.studies.cost_quality.table import Tables
from ib_analysis.studies.cost_quality.verdicts import verdict_sentences

__all__ = ["summary"]


def summary(tables: Tables) -> str:
    """Mean accuracy and gap of every format and grid point, then the verdicts of dominance."""
    first = tables.points[0]
    level, seeds = f"{first.confidence:.0%}", f"{first.n_seeds} seed{'s' if first.n_seeds > 1 else ''}"
    lines = [["format", "depth", "width", "quadratic", "linear", "memory, bits", "accuracy, %", "gap, % points"]]
    for row in tables.points:
        lines.append(
            [
                row.number_format, str(row.depth), str(row.width), f"{row.quadratic_cost:.3g}",
                f"{row.linear_cost:.3g}", f"{row.memory_bits:,}",
                _interval(row.test_accuracy, row.test_accuracy_low, row.test_accuracy_high),
                _interval(row.generalization_gap, row.generalization_gap_low, row.generalization_gap_high)
                + (f"  ! {row.warnings}" if row.warnings else ""),
            ]
        )  # fmt: skip
    verdicts = [["A", "B", "cost", "A dominates B", "smallest A - B, % points", "at cost"]]
    verdicts += [_verdict(row) for row in tables.dominance]
    parts = [
        f"Accuracy on evaluation images and generalization gap, means of {seeds} [{level} interval]",
        *align(lines),
    ]
    if len(verdicts) > 1:
        parts += ["", f"Dominance [{level} interval, for all common costs at once]", *align(verdicts), ""]
        parts += verdict_sentences(tables.dominance)
    if first.n_seeds == 1:
        parts += ["One seed: its spread is not known, so that intervals are over images alone and no curve dominates."]
    return "\n".join(parts)


def _verdict(row: DominanceRow) -> list[str]:
    names = [row.format_a, row.format_b, COST_MODELS[row.cost_model], row.verdict]
    least, low, high = row.smallest_difference, row.smallest_difference_low, row.smallest_difference_high
    if least is None or low is None or high is None:
        return [*names, "", ""]
    return [*names, _interval(least, low, high), f"{row.cost:.3g}"]


def _interval(estimate: float, low: float, high: float) -> str:
    return f"{100 * estimate:.2f} [{100 * low:.2f}, {100 * high:.2f}]"
