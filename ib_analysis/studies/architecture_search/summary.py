"""A comparison as text."""

from __future__ import annotations

from collections.abc import Sequence

from ib_analysis.studies.architecture_search.config import ArchitectureSearchConfig
from ib_analysis.studies.architecture_search.rows import MethodRow

__all__ = ["summary"]


def summary(rows: Sequence[MethodRow], config: ArchitectureSearchConfig) -> str:
    """A line per method and problem, and what must be known to read them."""
    lines = []
    for cost in dict.fromkeys(row.cost for row in rows):
        own = [row for row in rows if row.cost == cost]
        lines.append(f"{cost}: {own[0].exact_points} points on the exact front")
        lines.append(
            f"  {'method':16s} {'hypervolume ratio':24s} {'points found':22s} {'IGD+':26s} {'repeats':>8s} {'rho':>6s} "
            f"{'seconds':>8s}"
        )
        for row in own:
            ratio = f"{row.hypervolume_ratio:.4f} [{row.hypervolume_ratio_low:.4f}, {row.hypervolume_ratio_high:.4f}]"
            points = f"{row.points_found:.2f} [{row.points_found_low:.2f}, {row.points_found_high:.2f}]"
            distance = f"{row.igd_plus:.4f} [{row.igd_plus_low:.4f}, {row.igd_plus_high:.4f}]"
            correlation = "" if row.rank_correlation is None else f"{row.rank_correlation:.2f}"
            lines.append(
                f"  {row.method:16s} {ratio:24s} {points:22s} {distance:26s} {row.repeats:8.1f} {correlation:>6s} "
                f"{row.seconds:8.2f}"
            )
    n = len(config.seeds)
    lines.append(
        f"Means over {n} seed{'s' if n > 1 else ''} at {config.budget} distinct evaluations"
        + (f", {config.confidence:.0%} t-intervals for new seeds." if n > 1 else "; one seed has no interval.")
    )
    if config.costs_known and "dpp_net" in config.methods:
        lines.append("dpp_net knows the cost of architectures before they are evaluated; no other method uses it.")
    if short := sorted({row.method for row in rows if row.evaluations < config.budget}):
        lines.append(f"Had nothing new to propose before the budget was used up: {', '.join(short)}.")
    return "\n".join(lines)
