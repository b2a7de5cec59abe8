"""A comparison as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from ib_analysis.studies.architecture_search.config import ArchitectureSearchConfig
from ib_analysis.studies.architecture_search.rows import MethodRow, TransferRow

__all__ = ["summary"]


def summary(
    rows: Sequence[MethodRow],
    transfer: Sequence[TransferRow],
    violations: Mapping[str, float],
    config: ArchitectureSearchConfig,
) -> str:
    """A line per method and problem, and what must be known to read them.

    Arguments:
        rows: ``architecture_search.csv``.
        transfer: ``transfer.csv``.
        violations: cost -> least violation of the limits that there is; above 0 where nothing keeps them.
    """
    lines = []
    for cost in dict.fromkeys(row.cost for row in rows):
        own = [row for row in rows if row.cost == cost]
        lines.append(f"{cost}: {own[0].exact_points} points on the exact front")
        if violations[cost]:
            lines.append(
                f"  No architecture of the table keeps the limits; the front is of the least infeasible, which miss "
                f"them by {violations[cost]:.1%}."
            )
        elif own[0].hypervolume_ratio is None:
            lines.append(
                f"  No architecture is better than the references: {config.accuracy} {config.accuracy_reference:g} and "
                f"the largest {cost}. There is no hypervolume."
            )
        lines.append(
            f"  {'method':22s} {'hypervolume ratio':24s} {'points found':22s} {'IGD+':26s} {'repeats':>8s} {'rho':>6s} "
            f"{'rho cost':>8s} {'CPU s':>8s}"
        )
        for row in own:
            ratio = _with_interval(row.hypervolume_ratio, row.hypervolume_ratio_low, row.hypervolume_ratio_high, 4)
            points = _with_interval(row.points_found, row.points_found_low, row.points_found_high, 2)
            distance = _with_interval(row.igd_plus, row.igd_plus_low, row.igd_plus_high, 4)
            lines.append(
                f"  {row.method:22s} {ratio:24s} {points:22s} {distance:26s} {row.repeats:8.1f} "
                f"{_or_nothing(row.rank_correlation):>6s} {_or_nothing(row.rank_correlation_cost):>8s} "
                f"{row.seconds:8.2f}"
            )
        lines += _what_broke_limits(own, violations[cost])
    n = len(config.seeds)
    lines.append(
        f"Means over {n} seed{'s' if n > 1 else ''} at {config.budget} distinct evaluations"
        + (f", {config.confidence:.0%} t-intervals for new seeds." if n > 1 else "; one seed has no interval.")
    )
    if "dpp_net" in config.methods:
        lines.append("dpp_net knows the cost of architectures before they are evaluated; no other method does.")
    if short := sorted({row.method for row in rows if row.evaluations < config.budget}):
        lines.append(f"Had nothing new to propose before the budget was used up: {', '.join(short)}.")
    if others := [row for row in transfer if row.method == "exact" and row.source != row.target]:
        worst = max(others, key=lambda row: row.regret)
        middle = median(row.regret for row in others)
        lines.append(
            f"Between devices: the exact front for another device lacks {middle:.1%} of the hypervolume in "
            f"the median, at most {worst.regret:.1%} (that for {worst.source} on {worst.target})."
        )
    return "\n".join(lines)


def _what_broke_limits(rows: Sequence[MethodRow], least: float) -> list[str]:
    short = [row for row in rows if row.as_feasible < row.n_seeds]
    if not short:
        return []
    what = "came as near to the limits as can be" if least else "found an architecture that keeps the limits"
    counts = ", ".join(f"{row.method} {row.as_feasible} of {row.n_seeds}" for row in short)
    return [f"  Not all searches {what}: {counts}."]


def _with_interval(estimate: float | None, low: float | None, high: float | None, digits: int) -> str:
    if estimate is None:
        return "none"
    return f"{estimate:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _or_nothing(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
