"""Accuracy against cost: one curve per number format, under each cost model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ib_analysis.artifacts import UserError
from ib_analysis.information.table import read_table
from ib_analysis.plots.style import LIGHT, WARNED, framed, layer_colour, layer_marker, warned_handle
from ib_analysis.studies.cost_quality.dominance import curve_at
from ib_analysis.studies.cost_quality.rows import COST_MODELS, CostQualityPointRow, CostQualityRow, DominanceRow
from ib_analysis.studies.cost_quality.verdicts import verdict_sentences

__all__ = ["draw", "format_handles", "read_points"]

_LABELS = {
    "quadratic_cost": "MACs × bits × bits",
    "linear_cost": "MACs × bits",
    "memory_bits": "bits of the weights",
}


def draw(folder: Path) -> Iterator[tuple[str, Figure]]:
    """One figure with three panels: accuracy against quadratic cost, linear cost and weight memory.

    Arguments:
        folder: where ``cost_quality.csv``, ``cost_quality_points.csv`` and ``dominance.csv`` lie.

    Raises:
        UserError: a table is missing, damaged or empty.
    """
    networks, points = read_points(folder)
    verdicts: list[DominanceRow] = read_table(folder / "dominance.csv", DominanceRow)
    first, seeds = points[0], points[0].n_seeds
    figure, body = framed(
        "Accuracy and cost of number formats",
        f"Classifiers of {_range(points, 'depth')} and {_range(points, 'width')}: accuracy on "
        f"{networks[0].n_images:,} evaluation images against three models of cost. Large: means of {seeds} "
        f"seed{'s' if seeds > 1 else ''}; small, beside them: single seeds. Bars: {first.confidence:.0%} intervals for "
        f"new {'seeds and images' if seeds > 1 else 'images'}.",
        _notes(points, verdicts),
        body_inches=3.1,
    )
    grid = body.subplots(1, len(COST_MODELS), sharey=True, squeeze=False)[0]
    for axes, (model, name) in zip(grid, COST_MODELS.items(), strict=True):
        for index, number_format in enumerate(_formats(points)):
            own = [row for row in points if row.number_format == number_format]
            seeds_of = [row for row in networks if row.number_format == number_format]
            _draw_curve(axes, own, model, index)
            _draw_points(axes, own, seeds_of, model, index)
        axes.set_title(name.capitalize())
        axes.set_xlabel(_LABELS[model])
        _cost_axis(axes)
        axes.grid(axis="both", color=LIGHT, linewidth=0.5)
    grid[0].set_ylabel("accuracy, %")
    _legend(body, points)
    yield "cost_quality", figure


def read_points(folder: Path) -> tuple[list[CostQualityRow], list[CostQualityPointRow]]:
    """The networks and the grid points of a study.

    Raises:
        UserError: a table is missing, damaged or empty.
    """
    tables: list[tuple[str, type]] = [
        ("cost_quality.csv", CostQualityRow), ("cost_quality_points.csv", CostQualityPointRow)
    ]  # fmt: skip
    found: list[list] = []
    for name, kind in tables:
        if not (folder / name).exists():
            raise UserError(f"{folder / name} does not exist; run `ib cost-quality` first.")
        found.append(read_table(folder / name, kind))
        if not found[-1]:
            raise UserError(f"{folder / name} has no rows; delete it and run `ib cost-quality` again.")
    return found[0], found[1]


def format_handles(points: Sequence[CostQualityPointRow]) -> list[Line2D]:
    """The legend's entry of every number format."""
    return [
        Line2D([], [], color=layer_colour(k), marker=layer_marker(k), markersize=5, linewidth=1.2, label=name)
        for k, name in enumerate(_formats(points))
    ]


def _formats(points: Sequence[CostQualityPointRow]) -> list[str]:
    return list(dict.fromkeys(row.number_format for row in points))


def _draw_curve(axes: Axes, points: Sequence[CostQualityPointRow], model: str, index: int) -> None:
    """The judged curve: straight between neighbouring costs on the logarithmic axis, level where a cheaper network is
    better."""
    costs = np.array([getattr(row, model) for row in points], dtype=float)
    accuracies = np.array([row.test_accuracy for row in points])
    x = np.unique(costs)
    y = [100 * curve_at(costs, accuracies, cost) for cost in x]
    axes.plot(x, y, color=layer_colour(index), linewidth=1.2, zorder=2, gid="curve")


def _draw_points(
    axes: Axes, points: Sequence[CostQualityPointRow], networks: Sequence[CostQualityRow], model: str, index: int
) -> None:
    colour, marker = layer_colour(index), layer_marker(index)
    costs = [getattr(row, model) for row in points]
    beside = 1.06 if len(set(costs)) < 2 else (max(costs) / min(costs)) ** 0.03  # else the means' bars cover them
    axes.plot(
        [beside * getattr(row, model) for row in networks], [100 * row.test_accuracy for row in networks],
        linestyle="none", marker=marker, markersize=2.6, color=colour, alpha=0.6, markeredgewidth=0, zorder=2,
        gid="seeds",
    )  # fmt: skip
    for row in points:
        ends = [[row.test_accuracy - row.test_accuracy_low], [row.test_accuracy_high - row.test_accuracy]]
        kind = "warned" if row.warnings else "efficient" if model in row.efficient.split(";") else "beaten"
        axes.errorbar(
            [getattr(row, model)], [100 * row.test_accuracy], yerr=100 * np.maximum(ends, 0), fmt=marker, markersize=5,
            color=WARNED if row.warnings else colour, markeredgecolor=colour,
            markerfacecolor=colour if kind == "efficient" else "white", elinewidth=0.9, zorder=3, gid=kind,
        )  # fmt: skip


def _cost_axis(axes: Axes) -> None:
    """A logarithmic axis whose labels do not touch at a third of a page's width."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    decades = np.log10(high / low)
    steps = (1, 2, 5) if decades < 1.3 else (1, 3) if decades < 2.2 else (1,)
    ticks = [
        step * 10.0**power
        for power in range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        for step in steps
        if low <= step * 10.0**power <= high
    ] or [(low * high) ** 0.5]  # costs that are nearly the same
    axes.xaxis.set_major_locator(FixedLocator(ticks[:: -(-len(ticks) // 4)]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))


def _short(value: float) -> str:
    """
    >>> _short(500), _short(20_000), _short(3e6), _short(1e9), _short(5e13)
    ('500', '20k', '3M', '1G', '50T')
    """
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.999 * size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _range(points: Sequence[CostQualityPointRow], name: str) -> str:
    values = sorted({getattr(row, name) for row in points})
    return f"{name} {' and '.join(map(str, values)) if len(values) < 3 else f'{values[0]} to {values[-1]}'}"


def _notes(points: Sequence[CostQualityPointRow], verdicts: Sequence[DominanceRow]) -> list[str]:
    notes = []
    if any(row.efficient.count(";") < len(COST_MODELS) - 1 for row in points):
        notes.append(
            "Hollow: a network of the same format is at least as good and costs no more, or (grey bar) a warning."
        )
    if verdicts:
        notes.append(
            f"A dominates B: A's line is above B's at every common cost, by {verdicts[0].confidence:.0%} intervals "
            "that hold at all of them at once."
        )
    if points[0].n_seeds < 2:
        notes.append("With one seed the spread of seeds is not known, and no verdict is reached.")
    return notes + verdict_sentences(verdicts)


def _legend(body: SubFigure, points: Sequence[CostQualityPointRow]) -> None:
    handles: list = format_handles(points)
    if any(row.warnings for row in points):
        handle = warned_handle()
        handle.set_label("grey bar, hollow: with a warning")
        handles.append(handle)
    body.legend(handles=handles, loc="outside lower center", ncols=5, columnspacing=1.2)
