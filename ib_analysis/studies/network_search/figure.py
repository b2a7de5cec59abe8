"""Two figures: what the methods found, and what the layers of the final front keep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from ib_analysis.information.table import read_filled_table, read_table
from ib_analysis.plots.style import INK, LIGHT, WARNED, framed, layer_colour, layer_marker, warned_handle
from ib_analysis.studies.network_search.answers import in_sentences
from ib_analysis.studies.network_search.rows import BitsRow, CostBitsRow, FrontRow, PairRow, SearchedRow
from ib_analysis.studies.network_search.summary import known_costs
from ib_analysis.studies.network_search.table import BITS, COST_BITS, FRONT, PAIRS, SEARCHED

__all__ = ["draw"]

NAMES = {
    "macs": "multiply-accumulates",
    "quadratic_cost": "quadratic cost",
    "linear_cost": "linear cost",
    "memory_bits": "weight memory, bits",
    "parameters": "parameters",
    "latency_ms": "time of an image, ms (measured)",
    "energy_mj": "energy of an image, mJ",
}


def draw(folder: Path, costs: Sequence[str], confidence: float) -> Iterator[tuple[str, Figure]]:
    """``network_search``, and ``network_search_bits`` where a network of the front has been measured.

    Arguments:
        folder: where the tables lie.
        costs: the objectives but the error.
        confidence: level of the intervals.

    Raises:
        UserError: a table is missing, damaged or empty.
    """
    searched = read_filled_table(folder / SEARCHED, SearchedRow, "ib search")
    front = read_filled_table(folder / FRONT, FrontRow, "ib search")
    yield "network_search", _searches(searched, front, costs, confidence)
    bits = read_table(folder / BITS, BitsRow)
    if bits:
        courses, pairs = read_table(folder / COST_BITS, CostBitsRow), read_table(folder / PAIRS, PairRow)
        yield "network_search_bits", _bits(bits, costs[0], confidence, in_sentences(courses, pairs, costs[0]))


def _searches(
    searched: Sequence[SearchedRow], front: Sequence[FrontRow], costs: Sequence[str], confidence: float
) -> Figure:
    methods = list(dict.fromkeys(row.method for row in searched))
    figure, body = framed(
        "Search among trained networks",
        "Hypervolume against networks trained; and error against each cost: small marks are networks of the search, on "
        f"held-out images; large ones the final front on test images, with {confidence:.0%} intervals.",
        [*known_costs(methods), *_notes(searched, front)],
        body_inches=2.5 * (1 + len(costs)) + 0.4,
    )
    grid = body.subplots(1 + len(costs), 1, squeeze=False)[:, 0]
    for k, method in enumerate(methods):
        own = [row for row in searched if row.method == method]
        places = [row.place for row in own]
        grid[0].plot(
            places, [row.hypervolume for row in own], color=layer_colour(k), marker=layer_marker(k), markersize=3,
            linewidth=1.2, drawstyle="steps-post", label=method, gid=method,
        )  # fmt: skip
    grid[0].set_xlabel("networks trained")
    grid[0].set_ylabel("hypervolume")
    grid[0].set_ylim(bottom=0.0)
    grid[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes, cost in zip(grid[1:], costs, strict=True):
        for k, method in enumerate(methods):
            own = [row for row in searched if row.method == method]
            for hollow in (False, True):  # times that are not to be relied upon
                these = [row for row in own if (cost == "latency_ms" and bool(row.latency_flagged)) == hollow]
                axes.plot(
                    [getattr(row, cost) for row in these], [100 * row.error for row in these], color=layer_colour(k),
                    marker=layer_marker(k), markersize=3.5, linestyle="none", alpha=0.7,
                    markerfacecolor="white" if hollow else layer_colour(k),
                )  # fmt: skip
        errors = [100 * (1 - row.test_accuracy) for row in front]
        ends = [
            [100 * (row.test_accuracy_high - row.test_accuracy) for row in front],
            [100 * (row.test_accuracy - row.test_accuracy_low) for row in front],
        ]
        x = [getattr(row, cost) for row in front]
        axes.errorbar(
            x, errors, yerr=ends, color=INK, marker="*", markersize=8, linestyle="none", elinewidth=0.8, capsize=2,
            label="final front, test images", gid="front",
        )  # fmt: skip
        for row, place, error in zip(front, x, errors, strict=True):
            axes.annotate(row.name.rpartition("-front")[2], (place, error), (4, 3), textcoords="offset points", size=8)
        axes.set_xscale("log")
        _label_1_2_5(axes.xaxis)
        axes.set_xlabel(NAMES[cost] + (f" ({front[0].energy_source})" if cost == "energy_mj" else ""))
        axes.set_ylabel("error, %")
    for axes in grid:
        axes.grid(axis="both", color=LIGHT, linewidth=0.5)
    handles = [*grid[0].get_legend_handles_labels()[0], *grid[1].get_legend_handles_labels()[0]]
    body.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _label_1_2_5(axis: Axis) -> None:
    """Labels of a logarithmic axis."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axis.set_minor_formatter(NullFormatter())


def _short(value: float) -> str:
    """
    >>> _short(2e7), _short(5000.0), _short(0.5)
    ('20M', '5k', '0.5')
    """
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.999 * size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _notes(searched: Sequence[SearchedRow], front: Sequence[FrontRow]) -> list[str]:
    notes = [f"{row.name.rpartition('-')[2]}: {row.network}." for row in front]
    flagged = [row.name.rpartition("-")[2] for row in front if row.latency_flagged]
    if flagged:
        notes.append(f"Times of {', '.join(flagged)} were unsteady twice and are not to be relied upon.")
    if any(row.latency_flagged for row in searched):
        notes.append("Hollow marks: the same of networks of the search.")
    return notes


def _bits(rows: Sequence[BitsRow], cost: str, confidence: float, notes: Sequence[str]) -> Figure:
    networks = sorted({row.name: row.cost for row in rows}.items(), key=lambda item: item[1])
    layers = list(dict.fromkeys(row.layer for row in rows))
    n_seeds, words = max(row.n_seeds for row in rows), {row.name: row.network for row in rows}
    figure, body = framed(
        "What the layers of the front keep",
        f"Usable information about the image, and about the label, of networks of the final front from the cheapest to "
        f"the dearest. Bars: {confidence:.0%} intervals for new {'seeds and images' if n_seeds > 1 else 'images'}.",
        [*(f"{name.rpartition('-')[2]}: {words[name]}." for name, _ in networks), *notes],
        body_inches=5.6,
    )
    above, below = body.subplots(2, 1, sharex=True)
    order = {name: place for place, (name, _) in enumerate(networks)}
    for k, layer in enumerate(layers):
        own = [row for row in rows if row.layer == layer]
        shift = 0.08 * (k - (len(layers) - 1) / 2)
        _points(above, own, "i_xh_bits", order, shift, k, layer)
        _points(below, [row for row in own if row.i_hy_bits is not None], "i_hy_bits", order, shift, k, layer)
    accuracy = {row.name: row.test_accuracy for row in rows}
    below.set_xticks(
        range(len(networks)),
        [f"{name.rpartition('-')[2]}\n{100 * accuracy[name]:.1f} %\n{_short(value)}" for name, value in networks],
    )
    below.set_xlabel(f"network, test accuracy, {NAMES[cost]}")
    above.set_ylabel("I(X;H), bits")
    below.set_ylabel("I(H;Y), bits")
    for axes in (above, below):
        axes.grid(axis="y", color=LIGHT, linewidth=0.5)
        axes.set_xlim(-0.5, len(networks) - 0.5)
    below.set_ylim(bottom=min(0.0, below.get_ylim()[0]))
    if min(row.i_xh_bits_low for row in rows) > 0:  # late layers keep a hundredth of early ones
        above.set_yscale("log")
        above.set_ylabel("I(X;H), bits (log scale)")
        _label_1_2_5(above.yaxis)
    else:
        above.set_ylim(bottom=min(0.0, above.get_ylim()[0]))
    handles = [
        Line2D([], [], color=layer_colour(k), marker=layer_marker(k), linestyle="none", markersize=5, label=layer)
        for k, layer in enumerate(layers)
    ]
    if any(row.warnings for row in rows):
        handles.append(warned_handle())  # type: ignore[arg-type]
    body.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


def _points(
    axes: Axes, rows: Sequence[BitsRow], name: str, order: dict[str, int], shift: float, k: int, label: str
) -> None:
    """One layer's marks; grey and hollow where a cell has a warning."""
    for warned in (False, True):
        own = [row for row in rows if bool(row.warnings) == warned]
        if not own:
            continue
        values = np.array([[getattr(row, name + end) for end in ("", "_low", "_high")] for row in own])
        x = [order[row.name] + shift for row in own]
        colour = WARNED if warned else layer_colour(k)
        axes.errorbar(
            x, values[:, 0], yerr=[values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]], color=colour,
            marker=layer_marker(k), markersize=5, markerfacecolor="white" if warned else colour, linestyle="none",
            elinewidth=0.8, capsize=2, gid=label,
        )  # fmt: skip
