"""How much of the known bits of spike-ins decoders find, per layer and epoch: the coins as a map, and mixed in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ib_analysis.information.spike_ins import tolerance
from ib_analysis.information.table import InformationRow
from ib_analysis.plots.curves import (
    MOST_COLUMNS,
    Curve,
    Panel,
    Quantity,
    draw_curve,
    epochs_of,
    layers_of,
    panels_of,
    rows_of,
    seeds_note,
    warnings_note,
)
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.style import (
    LIGHT,
    TRUTH,
    WARNED,
    epoch_axis,
    framed,
    layer_colour,
    layer_marker,
    legend_columns,
    task_title,
    warned_handle,
)

__all__ = ["draw"]

_TITLES: dict[Quantity, str] = {"spike_in": "coins as a map", "spike_in_mixed": "coins mixed into the layer"}


def draw(saved: SavedExperiment) -> Iterator[tuple[str, Figure]]:
    """One figure: a row for each way to hand over the coins, a column per task, further number formats below; none
    without spike-ins.

    Raises:
        UserError: ``information.csv`` or ``data.json`` is missing or damaged.
    """
    rows = [row for row in saved.information if row.spike_in_bits]
    if not rows:
        return
    bits = max(row.spike_in_bits or 0.0 for row in rows)
    quantities: list[Quantity] = ["spike_in"]
    if any(row.spike_in_mixed_recovered is not None for row in rows):
        quantities.append("spike_in_mixed")
    panels, layers, epochs = panels_of(rows), layers_of(rows), epochs_of(rows)
    columns = min(len(panels), MOST_COLUMNS)
    blocks = -(-len(panels) // columns)  # of a line per quantity
    figure, body = framed(
        "Spike-ins: how much of the known bits the decoder finds",
        f"{bits:g} pixels of every image ({saved.data.name}) were overwritten with fair coins that the encoder never "
        "sees. Recovered: the bits that the decoder saves when it also gets the coins, over their number; the truth "
        "is 1. Bars: 95 % bootstrap intervals over held-out images.",
        [*_notes(rows, layers, bits), *seeds_note(rows, "hair lines", "bars"), *warnings_note(rows)],
        body_inches=2.6 * len(quantities) * blocks + 0.5,
    )
    grid = body.subplots(blocks * len(quantities), columns, sharey="row", squeeze=False)
    for place, quantity in enumerate(quantities, start=1):
        lines = grid[place - 1 :: len(quantities)]
        for axes in lines.flat[len(panels) :]:
            axes.remove()
        drawn = [
            curve for axes, panel in zip(lines.flat, panels, strict=False)
            for curve in _draw_panel(axes, rows, panel, quantity, layers, epochs)
        ]  # fmt: skip
        for line in lines:
            _level(line, drawn, tolerance(bits))
            line[0].set_ylabel("recovered fraction")
        for axes, panel in zip(lines.flat, panels, strict=False):
            title = task_title(*panel)
            axes.set_title(f"{title}:{chr(10) if ',' in title else ' '}{_TITLES[quantity]}")  # a format needs room
            epoch_axis(axes, epochs, label=place == len(quantities))
    _legend(body, rows, layers)
    yield "spike_ins", figure


def _draw_panel(
    axes: Axes, rows: Sequence[InformationRow], panel: Panel, quantity: Quantity, layers: list[str], epochs: list[int]
) -> list[Curve]:
    """Draw a panel's curves side by side, so that layers that agree do not hide each other."""
    curves = []
    for index, layer in enumerate(layers):
        found = rows_of(rows, panel, layer)
        if not found:
            continue
        curve = Curve.of(found, quantity)
        if np.isnan(curve.value).all():
            continue
        beside = 0.09 * (index - (len(layers) - 1) / 2)
        places = [epochs.index(epoch) + beside for epoch in curve.epochs]
        # Bars instead of the band, which would mix with the tolerance's.
        bare = replace(curve, low=curve.value, high=curve.value)
        draw_curve(axes, places, bare, layer_colour(index), layer_marker(index))
        for place, low, high, warned in zip(places, curve.low, curve.high, curve.warned, strict=True):
            colour = WARNED if warned else layer_colour(index)
            axes.plot([place, place], [low, high], color=colour, linewidth=1.1, zorder=2, gid="interval")
        curves.append(curve)
    return curves


def _level(line: Sequence[Axes], curves: Sequence[Curve], margin: float) -> None:
    """The truth with its tolerance in all panels of a row, and one scale for all."""
    ends = np.concatenate([[1 - 2 * margin, 1 + 2 * margin], *(part for one in curves for part in (one.low, one.high))])
    lowest, highest = float(np.nanmin(ends)), float(np.nanmax(ends))
    room = 0.06 * (highest - lowest)
    line[0].set_ylim(lowest - room, highest + room)
    for axes in line:
        axes.axhspan(1 - margin, 1 + margin, color=LIGHT, alpha=0.6, linewidth=0, zorder=0, gid="tolerance")
        axes.axhline(1, color=TRUTH, linestyle=(0, (5, 3)), linewidth=1.1, zorder=1, gid="truth")


def _legend(body: SubFigure, rows: Sequence[InformationRow], layers: Sequence[str]) -> None:
    handles: list = [
        Line2D([], [], color=layer_colour(k), marker=layer_marker(k), markersize=5, linewidth=1.4, label=layer)
        for k, layer in enumerate(layers)
    ]
    handles += [
        Line2D([], [], color=TRUTH, linestyle=(0, (5, 3)), linewidth=1.1, label="truth"),
        Patch(facecolor=LIGHT, alpha=0.6, label="within max(2 %, 0.5 bit)"),
    ]
    if any(row.warnings for row in rows):
        handles.append(warned_handle())
    columns = legend_columns([handle.get_label() for handle in handles])
    body.legend(handles=handles, loc="outside lower center", ncols=columns, columnspacing=1.2)


def _notes(rows: Sequence[InformationRow], layers: Sequence[str], bits: float) -> list[str]:
    notes = [
        f"As a map: the necessary check; aim: within {100 * tolerance(bits):.1f} % (max(2 %, 0.5 bit) of {bits:g} "
        "bits). Mixed in by a fixed orthogonal map, as a layer would hide them: the harder check, reported. A fraction "
        "of 1 does not prove that the decoder finds what the layer holds of the image."
    ]
    without = [
        layer for layer in layers
        if all(row.spike_in_mixed_recovered is None for row in rows if row.layer == layer)
    ]  # fmt: skip
    if without:
        notes.append(
            f"Not mixed into {', '.join(without)}: more coins than it has channels (or units) to hide them in."
        )
    return notes
