"""Generalization gaps of number formats: accuracy on training images minus accuracy on evaluation images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ib_analysis.plots.style import LIGHT, TRUTH, epoch_colours, framed, layer_marker
from ib_analysis.studies.cost_quality.figure import read_points

__all__ = ["draw"]


def draw(folder: Path) -> Iterator[tuple[str, Figure]]:
    """One figure: the gap of every network, side by side within its number format, from small to large.

    Arguments:
        folder: where ``cost_quality.csv`` and ``cost_quality_points.csv`` lie.

    Raises:
        UserError: a table is missing, damaged or empty.
    """
    networks, points = read_points(folder)
    formats = list(dict.fromkeys(row.number_format for row in points))
    sizes = {(row.depth, row.width): row.parameters for row in points}
    ordered = sorted(sizes, key=lambda size: (sizes[size], size))
    palette = epoch_colours(len(ordered))
    colours = [palette(index) for index in range(len(ordered))]
    places = np.linspace(-0.3, 0.3, len(ordered)) if len(ordered) > 1 else np.zeros(1)
    first = points[0]
    several = first.n_seeds > 1
    figure, body = framed(
        "Generalization gap of number formats",
        f"Accuracy on the {networks[0].n_training_images:,} training images, as they are, minus accuracy on "
        f"{networks[0].n_images:,} evaluation images, after the last epoch. Large: means of {first.n_seeds} "
        f"seed{'s' if several else ''}; small, beside them: single seeds. Bars: {first.confidence:.0%} intervals for "
        f"new {'seeds and images' if several else 'images'}.",
        ["Intervals hold one by one: of many pairs some do not overlap by chance."],
        body_inches=3.1,
    )
    axes = body.subplots()
    for row in networks:
        index = ordered.index((row.depth, row.width))
        axes.plot(
            [formats.index(row.number_format) + places[index] + _beside(places)], [100 * row.generalization_gap],
            linestyle="none", marker=layer_marker(index), markersize=2.6, color=colours[index], alpha=0.6,
            markeredgewidth=0, zorder=2, gid="seed",
        )  # fmt: skip
    for point in points:
        index = ordered.index((point.depth, point.width))
        gap = point.generalization_gap
        ends = [[gap - point.generalization_gap_low], [point.generalization_gap_high - gap]]
        axes.errorbar(
            [formats.index(point.number_format) + places[index]], [100 * gap], yerr=100 * np.maximum(ends, 0),
            fmt=layer_marker(index), markersize=5, color=colours[index], elinewidth=1.0, capsize=2, zorder=3,
            markerfacecolor="white" if point.warnings else colours[index],
            gid="warned" if point.warnings else "mean",
        )  # fmt: skip
    axes.axhline(0, color=TRUTH, linewidth=0.9, zorder=1)
    axes.set_xticks(range(len(formats)), formats)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.5, len(formats) - 0.5)
    for edge in range(len(formats) - 1):
        axes.axvline(edge + 0.5, color=LIGHT, linewidth=0.8)
    axes.grid(axis="y", color=LIGHT, linewidth=0.5)
    axes.set_ylabel("gap, percentage points")
    handles = [
        Line2D([], [], color=colours[index], marker=layer_marker(index), linestyle="none", markersize=5,
               label=f"depth {depth}, width {width}")
        for index, (depth, width) in enumerate(ordered)
    ]  # fmt: skip
    if any(point.warnings for point in points):
        handles.append(
            Line2D([], [], color=TRUTH, marker="o", markerfacecolor="white", linestyle="none", markersize=5,
                   label="hollow: with a warning")
        )  # fmt: skip
    body.legend(handles=handles, loc="outside lower center", ncols=4, columnspacing=1.2)
    yield "generalization_gap", figure


def _beside(places: np.ndarray) -> float:
    """How far single seeds lie beside their mean, whose bar would cover them."""
    return 0.25 * float(places[1] - places[0]) if len(places) > 1 else 0.08
