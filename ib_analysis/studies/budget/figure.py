"""How code lengths and information move with the decoder's budget: optimiser steps, and size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ib_analysis.information.table import read_filled_table
from ib_analysis.plots.style import INK, LIGHT, TRUTH, framed, layer_colour, layer_marker, task_title, warned_handle
from ib_analysis.studies.budget.rows import BudgetRow

__all__ = ["draw"]

_STYLES: tuple[object, ...] = ("-", (0, (4, 1.5)), (0, (1.5, 1.5)), (0, (5, 1.5, 1.5, 1.5)))


def draw(table: Path) -> Iterator[tuple[str, Figure]]:
    """One figure: code lengths (above) and information (below) against steps (left) and parameters (right).

    Arguments:
        table: ``budget.csv``.

    Raises:
        UserError: it is missing, damaged or empty.
    """
    rows = read_filled_table(table, BudgetRow, "ib budget")
    steps = [row for row in rows if row.against_steps == "yes"]
    sizes = [row for row in rows if row.against_size == "yes"]
    columns = [(found, name) for found, name in ((steps, "steps_done"), (sizes, "parameters")) if found]
    first = rows[0]
    figure, body = framed(
        "Budget curves",
        f"What decoders of other budgets measure of the same layers ({task_title(first.task, first.number_format)}, "
        f"encoder seed {first.encoder_seed}): code lengths (above) and usable information (below), means over "
        f"{first.n_images} evaluation images and {first.n_epochs} epochs. Bars: 95 % intervals over images.",
        _notes(steps, sizes),
        body_inches=5.4,
    )
    grid = body.subplots(2, len(columns), sharex="col", sharey="row", squeeze=False)
    for place, (found, name) in enumerate(columns):
        _draw_lengths(grid[0, place], found, name)
        _draw_information(grid[1, place], found, name)
        grid[0, place].set_title("Optimiser steps" if name == "steps_done" else "Size of the decoder")
        grid[1, place].set_xlabel("steps of the fit" if name == "steps_done" else "parameters")
        ticks = sorted({getattr(row, name) for row in found})
        _budget_axis(grid[1, place], _spaced(ticks))
    grid[0, 0].set_ylabel("code length, bits")
    grid[1, 0].set_ylabel("I(X;H) = L0 − L, bits")
    _legend(body, rows)
    yield "budget", figure


def _notes(steps: Sequence[BudgetRow], sizes: Sequence[BudgetRow]) -> list[str]:
    notes = [
        "Each point is a decoder with a schedule of its own, and L0 is its own null condition. L and L0 are upper "
        "bounds on entropies and fall with the budget, up to noise; their difference may move either way."
    ]
    if steps and sizes:
        size, fit = steps[0], sizes[0]
        notes.append(
            f"Left: {size.blocks} block{'s' if size.blocks > 1 else ''}, {size.filters} filters. Right: {fit.steps:,} "
            "steps."
        )
    return notes


def _draw_lengths(axes: Axes, rows: Sequence[BudgetRow], name: str) -> None:
    first = _layers(rows)[0]
    _draw_lines(axes, [row for row in rows if row.layer == first], name, "null_code_length_bits", INK, "*")
    for index, layer in enumerate(_layers(rows)):
        own = [row for row in rows if row.layer == layer]
        _draw_lines(axes, own, name, "code_length_bits", layer_colour(index), layer_marker(index))
    _draw_entropy(axes, rows)


def _draw_information(axes: Axes, rows: Sequence[BudgetRow], name: str) -> None:
    for index, layer in enumerate(_layers(rows)):
        own = [row for row in rows if row.layer == layer]
        _draw_lines(axes, own, name, "i_xh_bits", layer_colour(index), layer_marker(index))
    axes.margins(y=0.08)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))


def _draw_lines(axes: Axes, rows: Sequence[BudgetRow], name: str, what: str, colour: str, marker: str) -> None:
    """One line per number of blocks, with intervals; hollow where a cell has a warning."""
    for style, blocks in zip(_STYLES * len(rows), sorted({row.blocks for row in rows}), strict=False):
        line = sorted((row for row in rows if row.blocks == blocks), key=lambda row: getattr(row, name))
        x = [getattr(row, name) for row in line]
        y = [getattr(row, what) for row in line]
        below = [max(0.0, getattr(row, what) - getattr(row, f"{what}_low")) for row in line]
        above = [max(0.0, getattr(row, f"{what}_high") - getattr(row, what)) for row in line]
        axes.errorbar(x, y, yerr=[below, above], color=colour, linestyle=style, linewidth=1.2, elinewidth=0.9, zorder=2)
        for place, value, row in zip(x, y, line, strict=True):
            warned = bool(row.warnings) and what != "null_code_length_bits"
            axes.plot(
                [place], [value], marker=marker, markersize=7 if marker == "*" else 5, linestyle="none", zorder=3,
                color=colour, markerfacecolor="white" if warned else colour, gid="warned" if warned else what,
            )  # fmt: skip


def _draw_entropy(axes: Axes, rows: Sequence[BudgetRow]) -> None:
    """The entropy of an image, which no mean code length L0 can go below."""
    h_x = rows[0].h_x_bits
    if h_x is not None:
        axes.axhline(h_x, color=TRUTH, linewidth=0.9, linestyle=(0, (5, 3)), zorder=1, gid="truth")


def _layers(rows: Sequence[BudgetRow]) -> list[str]:
    return list(dict.fromkeys(row.layer for row in rows))


def _spaced(values: Sequence[int]) -> list[int]:
    """Of ascending budgets those whose labels do not touch on a logarithmic axis."""
    span = values[-1] / values[0]
    kept: list[int] = []
    for value in values[::-1]:
        if not kept or kept[-1] / value > span**0.14:
            kept.append(value)
    return kept[::-1]


def _budget_axis(axes: Axes, ticks: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    for each in (axes, *axes.get_shared_x_axes().get_siblings(axes)):
        each.grid(axis="both", color=LIGHT, linewidth=0.5)


def _short(value: float) -> str:
    """
    >>> _short(450), _short(18000), _short(699_000), _short(2_500_000)
    ('450', '18,000', '699k', '2.5M')
    """
    if value < 100_000:
        return f"{value:,.0f}"
    return f"{value / 1e6:.3g}M" if value >= 1e6 else f"{value / 1e3:.0f}k"


def _legend(body: SubFigure, rows: Sequence[BudgetRow]) -> None:
    handles: list = [
        Line2D([], [], color=layer_colour(k), marker=layer_marker(k), markersize=5, linewidth=1.2, label=layer)
        for k, layer in enumerate(_layers(rows))
    ]
    handles.append(Line2D([], [], color=INK, marker="*", markersize=7, linewidth=1.2, label="L0, no condition"))
    if rows[0].h_x_bits is not None:
        handles.append(
            Line2D([], [], color=TRUTH, linewidth=0.9, linestyle=(0, (5, 3)), label=f"H(X) = {rows[0].h_x_bits:.2f}")
        )
    blocks = sorted({row.blocks for row in rows if row.against_size == "yes"})
    if len(blocks) > 1:
        for style, count in zip(_STYLES * len(blocks), blocks, strict=False):
            label = f"{count} block{'s' if count > 1 else ''}"
            handles.append(Line2D([], [], color=INK, linewidth=1.2, linestyle=style, label=label))  # type: ignore[arg-type]
    if any(row.warnings for row in rows):
        handle = warned_handle()
        handle.set_label("hollow: a cell has a warning")
        handles.append(handle)
    body.legend(handles=handles, loc="outside lower center", ncols=5, columnspacing=1.2)
