"""Hypervolume against distinct evaluations, all methods of a problem in one panel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ib_analysis.information.table import read_filled_table
from ib_analysis.plots.style import LIGHT, TRUTH, framed, layer_colour
from ib_analysis.studies.architecture_search.rows import CurveRow

__all__ = ["draw"]

_STYLES: tuple[object, ...] = ("-", (0, (4, 1.5)), (0, (1.5, 1.5)))


def draw(table: Path, n_seeds: int, confidence: float) -> Iterator[tuple[str, Figure]]:
    """One figure.

    Arguments:
        table: ``curves.csv``.
        n_seeds: searches that a curve is the mean of.
        confidence: level of the bands.

    Raises:
        UserError: it is missing, damaged or empty.
    """
    rows = read_filled_table(table, CurveRow, "ib search")
    costs = list(dict.fromkeys(row.cost for row in rows))
    methods = list(dict.fromkeys(row.method for row in rows))
    figure, body = framed(
        "Architecture search",
        "Share of the exact front's hypervolume that a search has found, against its distinct evaluations. "
        + (
            f"Means over {n_seeds} seeds, with {confidence:.0%} t-intervals for new ones."
            if n_seeds > 1
            else "One seed."
        ),
        ["An architecture that is proposed again is not evaluated again, and does not count."],
        body_inches=2.3 * len(costs) + 0.5,
    )
    grid = body.subplots(len(costs), 1, sharex=True, squeeze=False)
    last = max(row.evaluations for row in rows)
    for axes, cost in zip(grid[:, 0], costs, strict=True):
        own = [row for row in rows if row.cost == cost]
        for k, method in enumerate(methods):
            line = [row for row in own if row.method == method]
            x = [row.evaluations for row in line]
            axes.plot(
                x, [row.hypervolume_ratio for row in line], color=layer_colour(k), linewidth=1.3,
                linestyle=_STYLES[k % len(_STYLES)], gid=method,
            )  # fmt: skip
            axes.fill_between(
                x, [row.hypervolume_ratio_low for row in line], [row.hypervolume_ratio_high for row in line],
                color=layer_colour(k), alpha=0.15, linewidth=0,
            )  # fmt: skip
        axes.axhline(1.0, color=TRUTH, linewidth=0.9, linestyle=(0, (5, 3)), gid="exact")
        # The first quarter would leave no room for what sets the methods apart.
        bottom = min((row.hypervolume_ratio_low for row in own if row.evaluations > last / 4), default=0.0)
        axes.set_ylim(max(0.0, bottom), 1.0 + 0.05 * (1.0 - max(0.0, bottom)) + 1e-6)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.grid(axis="both", color=LIGHT, linewidth=0.5)
        axes.set_title(cost)
        axes.set_ylabel("hypervolume ratio")
    grid[-1, 0].set_xlabel("distinct evaluations")
    handles = [
        Line2D([], [], color=layer_colour(k), linewidth=1.3, linestyle=_STYLES[k % len(_STYLES)], label=method)  # type: ignore[arg-type]
        for k, method in enumerate(methods)
    ]
    handles.append(Line2D([], [], color=TRUTH, linewidth=0.9, linestyle=(0, (5, 3)), label="exact front"))
    body.legend(handles=handles, loc="outside lower center", ncols=4, columnspacing=1.2)
    yield "architecture_search", figure
