"""Fronts that searches found, with the exact one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ib_analysis.information.table import read_filled_table
from ib_analysis.plots.style import LIGHT, TRUTH, framed, layer_colour, layer_marker
from ib_analysis.studies.architecture_search.rows import FrontRow

__all__ = ["draw"]


def draw(table: Path, accuracy: str, reference: float) -> Iterator[tuple[str, Figure]]:
    """One figure, a panel per cost.

    Arguments:
        table: ``fronts.csv``.
        accuracy: what the accuracy is called.
        reference: accuracy from which on a point counts; what is below is not shown, unless all is.

    Raises:
        UserError: it is missing, damaged or empty.
    """
    rows = read_filled_table(table, FrontRow, "ib search")
    costs = list(dict.fromkeys(row.cost for row in rows))
    methods = [method for method in dict.fromkeys(row.method for row in rows) if method != "exact"]
    figure, body = framed(
        "Fronts that were found",
        "Accuracy against cost of the architectures that nothing else a search evaluated beats in both. Of each method "
        "the search with the median hypervolume.",
        ["Line: the exact front, with its points as crosses. A marker on it is a point that was found."],
        body_inches=2.6 * len(costs) + 0.5,
    )
    grid = body.subplots(len(costs), 1, squeeze=False)
    for axes, cost in zip(grid[:, 0], costs, strict=True):
        own = [row for row in rows if row.cost == cost]
        exact = [row for row in own if row.method == "exact"]
        axes.step(
            [row.cost_value for row in exact], [row.accuracy for row in exact], where="post", color=TRUTH,
            linewidth=0.8, gid="exact",
        )  # fmt: skip
        axes.plot([row.cost_value for row in exact], [row.accuracy for row in exact], "x", color=TRUTH, markersize=4)
        for k, method in enumerate(methods):
            line = [row for row in own if row.method == method]
            axes.plot(
                [row.cost_value for row in line], [row.accuracy for row in line], linestyle="none", gid=method,
                marker=layer_marker(k), color=layer_colour(k), markerfacecolor="none", markersize=4.5,
                markeredgewidth=0.9,
            )  # fmt: skip
        # What is worse than all that counts would leave no room for what sets the methods apart.
        high = max(row.accuracy for row in exact)
        low = min(row.accuracy for row in exact if row.accuracy >= min(reference, high))
        room = 0.08 * (high - low) or 1.0
        axes.set_ylim(low - room, high + room)
        axes.grid(axis="both", color=LIGHT, linewidth=0.5)
        axes.set_xlabel(cost)
        axes.set_ylabel(accuracy if len(accuracy) < 20 else "accuracy")
    handles = [
        Line2D([], [], linestyle="none", marker=layer_marker(k), color=layer_colour(k), markerfacecolor="none",
               markersize=4.5, label=method)
        for k, method in enumerate(methods)
    ]  # fmt: skip
    handles.append(Line2D([], [], color=TRUTH, linewidth=0.8, marker="x", markersize=4, label="exact front"))
    body.legend(handles=handles, loc="outside lower center", ncols=4, columnspacing=1.2)
    yield "fronts", figure
