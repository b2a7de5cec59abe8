"""What longer fits added against the change that was measured, and where they lie in the widened intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ib_analysis.information.change import WIDENING
from ib_analysis.information.table import read_filled_table
from ib_analysis.plots.style import (
    INK,
    LIGHT,
    TRUTH,
    WARNED,
    framed,
    layer_colour,
    layer_marker,
    task_title,
    warned_handle,
)
from ib_analysis.studies.convergence.rows import ConvergenceRow

__all__ = ["draw"]

OPACITY = 0.35
"""Opacity of the part of an interval that the change adds."""


def draw(table: Path) -> Iterator[tuple[str, Figure]]:
    """One figure: change against what was added (above), and every cell's widened interval with the longer fit (below).

    Arguments:
        table: ``convergence.csv``.

    Raises:
        UserError: it is missing, damaged or empty.
    """
    rows = read_filled_table(table, ConvergenceRow, "ib convergence")
    contained = sum(row.contained == "yes" for row in rows)
    first = rows[0]
    figure, body = framed(
        "Does the measured change tell what a longer fit finds?",
        f"I(X;H) of {len(rows)} cells, by fits of {first.steps:,} steps that were also measured at half of them, and "
        f"by fits of {first.longer_steps:,} steps on the same {first.n_images:,} evaluation images.",
        [
            "Above: on or below the line the longer fit added no more than the doubling before it; whiskers are 95 % "
            f"intervals, paired by image. Below: {contained} of {len(rows)} longer fits lie within the widened "
            "interval (epochs from left to right). Zero is the experiment's own number. Axes are linear near zero "
            "and logarithmic beyond.",
        ],
        body_inches=5.9,
    )
    layers = list(dict.fromkeys(row.layer for row in rows))
    change, cells = body.subplots(2, 1, height_ratios=(1.15, 1))
    linear = _linear_below(rows)
    _draw_prediction(change, rows, layers, linear)
    _draw_cells(cells, rows, layers, linear)
    _legend(body, rows, layers)
    yield "convergence", figure


def _draw_prediction(axes: Axes, rows: Sequence[ConvergenceRow], layers: Sequence[str], linear: float) -> None:
    """The line of the rule is max(change, 0): a number that fell may be exceeded by nothing."""
    reach = 1.3 * max(linear, *(abs(row.information_change_bits) for row in rows))
    x = np.unique(
        np.concatenate([np.geomspace(linear / 100, reach, 300), -np.geomspace(linear / 100, reach, 300), [0]])
    )
    x = x[x >= min(0.0, 1.3 * min(row.information_change_bits for row in rows)) - linear / 2]
    axes.plot(x, np.maximum(x, 0), color=TRUTH, linewidth=1.0, zorder=1, gid="rule")
    axes.axhline(0, color=LIGHT, linewidth=0.8, zorder=0)
    for row in rows:
        _point(axes, row.information_change_bits, row, layers)
    ends = [value for row in rows for value in (row.added_bits_low, row.added_bits_high)]
    _bits_axis(axes, "x", x, linear)
    _bits_axis(axes, "y", [*ends, *np.maximum(x, 0)], linear)
    axes.set_title("Change before, and what came after")
    axes.set_xlabel("measured change from half of the steps to all of them, bits")
    axes.set_ylabel("added by the longer fit, bits")
    axes.grid(color=LIGHT, linewidth=0.5)


def _draw_cells(axes: Axes, rows: Sequence[ConvergenceRow], layers: Sequence[str], linear: float) -> None:
    """Cells side by side, task by task and layer by layer: intervals as bars, longer fits as points, around I."""
    place, ticks, labels, values = 0.0, [], [], [0.0]
    tasks = list(dict.fromkeys(row.task for row in rows))
    ordered = sorted(rows, key=lambda row: (tasks.index(row.task), layers.index(row.layer), row.epoch))
    for (task, layer), group in groupby(ordered, key=lambda row: (row.task, row.layer)):
        cells, colour = list(group), layer_colour(layers.index(layer))
        for row in cells:
            low, high = row.i_xh_bits_low - row.i_xh_bits, row.i_xh_bits_high - row.i_xh_bits
            widened = row.information_high_with_change - row.i_xh_bits
            axes.bar(place, high - low, 0.8, low, color=LIGHT, zorder=1, gid="interval")
            axes.bar(place, widened - high, 0.8, high, color=to_rgba(colour, OPACITY), zorder=1, gid="widened")
            _point(axes, place, row, layers, small=len(rows) > 40)
            values += [low, widened, row.added_bits_low, row.added_bits_high]
            place += 1
        ticks.append(place - (len(cells) + 1) / 2)
        labels.append(f"{layer}\n{task_title(task)}" if len(tasks) > 1 else layer)
        place += 0.7
    axes.axhline(0, color=TRUTH, linewidth=0.9, zorder=2)
    axes.set_xticks(ticks, labels)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-1, place - 0.7)
    _bits_axis(axes, "y", values, linear)
    axes.set_title("Widened intervals and longer fits")
    axes.set_ylabel("bits above the experiment's I(X;H)")
    axes.grid(axis="y", color=LIGHT, linewidth=0.5)


def _point(axes: Axes, x: float, row: ConvergenceRow, layers: Sequence[str], small: bool = False) -> None:
    """What was added, with its interval; hollow and grey with a warning, ringed where it lies outside."""
    index = layers.index(row.layer)
    colour, warned = layer_colour(index), bool(row.warnings)
    size = 3.5 if small else 4.5
    whiskers = [[max(row.added_bits - row.added_bits_low, 0)], [max(row.added_bits_high - row.added_bits, 0)]]
    axes.errorbar(
        [x], [row.added_bits], yerr=whiskers, fmt=layer_marker(index), markersize=size,
        color=WARNED if warned else colour, markerfacecolor="white" if warned else colour,
        markeredgecolor=WARNED if warned else "white", markeredgewidth=1.0 if warned else 0.5,
        elinewidth=0.9, zorder=3, gid="warned" if warned else "cell",
    )  # fmt: skip
    if row.contained != "yes":
        axes.plot(
            [x], [row.added_bits], marker="o", markersize=size + 5, markerfacecolor="none", markeredgecolor=INK,
            markeredgewidth=1.0, linestyle="none", zorder=4, gid="outside",
        )  # fmt: skip


# ---------------------------------------------------------------------------------------------- axes and legend


def _linear_below(rows: Sequence[ConvergenceRow]) -> float:
    """A power of ten near the smaller of the numbers that are shown: axes are linear below it."""
    sizes = [abs(value) for row in rows for value in (row.information_change_bits, row.added_bits)]
    sizes = [size for size in sizes if np.isfinite(size) and size > 0]
    return float(10 ** np.floor(np.log10(np.quantile(sizes, 0.25)))) if sizes else 1.0


def _bits_axis(axes: Axes, which: str, values: Sequence[float] | np.ndarray, linear: float) -> None:
    finite = [float(value) for value in values if np.isfinite(value)] or [0.0]
    low, high = min(*finite, 0.0), max(*finite, linear)
    decades = [linear * 10.0**k for k in range(8)]
    ticks = [0.0, *(value for value in decades if value <= 1.3 * high)]
    ticks = [-value for value in decades if value <= -2 * low][::-1] + ticks
    (axes.set_xscale if which == "x" else axes.set_yscale)("symlog", linthresh=linear, linscale=0.6)
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}".replace("-", "−")))
    # Room for a marker and its ring, on the linear and on the logarithmic part.
    (axes.set_xlim if which == "x" else axes.set_ylim)(2 * low - 0.3 * linear, 2 * high + 0.3 * linear)


def _legend(body: SubFigure, rows: Sequence[ConvergenceRow], layers: Sequence[str]) -> None:
    handles: list = [
        Line2D([], [], color=layer_colour(k), marker=layer_marker(k), markersize=5, linestyle="none", label=layer)
        for k, layer in enumerate(layers)
    ]
    handles += [
        Line2D([], [], color=TRUTH, linewidth=1.0, label="the rule: max(change, 0)"),
        Patch(color=LIGHT, label="95 % interval over images"),
        Patch(color=to_rgba(INK, OPACITY), label=f"widened by {WIDENING:g} times the change"),
    ]
    if any(row.contained != "yes" for row in rows):
        handles.append(
            Line2D([], [], color=INK, marker="o", markerfacecolor="none", markersize=9, linestyle="none",
                   label="ringed: outside the widened interval")
        )  # fmt: skip
    if any(row.warnings for row in rows):
        handles.append(warned_handle())
    body.legend(handles=handles, loc="outside lower center", ncols=4, columnspacing=1.2)
