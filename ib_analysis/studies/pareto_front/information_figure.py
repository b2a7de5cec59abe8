"""What the layers keep at the points of fronts: the information plane, and I(X;H) along each front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ib_analysis.plots.style import (
    LIGHT,
    WARNED,
    epoch_colours,
    framed,
    layer_colour,
    layer_marker,
    warned_handle,
)
from ib_analysis.studies.pareto_front.rows import ParetoLayerRow
from ib_analysis.studies.pareto_front.summary import KINDS, monotone_sentence
from ib_analysis.studies.pareto_front.table import Tables

__all__ = ["information_figure"]


def information_figure(tables: Tables, number_format: str) -> Figure:
    """A row of two panels per kind of front, all planes on the same axes."""
    cells = [row for row in tables.layers if row.number_format == number_format and row.kind]
    kinds = [kind for kind in KINDS if any(row.kind == kind for row in cells)]
    layers = list(dict.fromkeys(row.layer for row in cells))
    verdicts = [row for row in tables.monotone if row.number_format == number_format]
    figure, body = framed(
        "What the points of the front keep",
        f"Layers of networks of one trunk ({', '.join(KINDS[kind] for kind in kinds)}), from the classification end of "
        "the front (dark) to the reconstruction end (light): the information plane (left), and I(X;H) along the front "
        "(right).",
        [
            "I(X;H) is usable information, mean(L0 − L), an estimate and no bound; I(H;Y) a lower bound from a "
            f"held-out probe. Whiskers: {cells[0].confidence:.0%} intervals for new "
            f"{'seeds and images' if cells[0].n_seeds > 1 else 'images'}."
            + (" Grey, hollow: a cell with a warning." if any(row.warnings for row in cells) else ""),
            *(monotone_sentence(row) for row in verdicts),
        ],
        body_inches=3.4 if len(kinds) == 1 else 2.7 * len(kinds),
    )
    panels = body.subplots(len(kinds), 2, squeeze=False)
    for (plane, along), kind in zip(panels, kinds, strict=True):
        _draw_kind(plane, along, [row for row in cells if row.kind == kind], layers)
        if len(kinds) > 1:
            plane.set_title(KINDS[kind][0].upper() + KINDS[kind][1:])
        if plane is not panels[0][0]:
            plane.sharex(panels[0][0])
            plane.sharey(panels[0][0])
            along.sharey(panels[0][1])
    handles: list = [
        Line2D([], [], color=layer_colour(k), marker=layer_marker(k), linewidth=1.0, markersize=5, label=layer)
        for k, layer in enumerate(layers)
    ]
    handles += [warned_handle()] if any(row.warnings for row in cells) else []
    body.legend(handles=handles, loc="outside lower center", ncols=6)
    return figure


def _draw_kind(plane: Axes, along: Axes, cells: Sequence[ParetoLayerRow], layers: Sequence[str]) -> None:
    positions = sorted({row.position for row in cells if row.position is not None})
    wanted = {row.position: row.wanted.replace(":", " : ") for row in cells}
    colours = epoch_colours(len(positions))
    for index, layer in enumerate(layers):
        own = sorted((row for row in cells if row.layer == layer), key=lambda row: row.position or 0)
        x, y = [row.i_xh_bits for row in own], [row.i_hy_bits for row in own]
        plane.plot(x, y, color=LIGHT, linewidth=0.9, zorder=1)
        along.plot(positions, x, color=layer_colour(index), linewidth=1.0, zorder=2, gid="course")
        for row, place in zip(own, positions, strict=True):
            _draw_cell(plane, row, (row.i_xh_bits, row.i_hy_bits), index, colours(place), both=True)
            _draw_cell(along, row, (place, row.i_xh_bits), index, layer_colour(index), both=False)
    plane.set_xlabel("I(X;H), usable, bits")
    plane.set_ylabel("I(H;Y), probe, bits")
    limits = cells[0].kind == "limit"
    along.set_xlabel("limit of the reconstruction loss" if limits else "r of classification : r of reconstruction")
    along.set_ylabel("I(X;H), usable, bits")
    along.set_xticks(positions, [wanted[position] for position in positions])
    along.grid(axis="y", color=LIGHT, linewidth=0.5)


def _draw_cell(
    axes: Axes, row: ParetoLayerRow, at: tuple[float, float], index: int, colour: object, *, both: bool
) -> None:
    """A point with its whiskers: of I(X;H) and I(H;Y), or of I(X;H) upwards."""
    i_xh = np.abs([[row.i_xh_bits - row.i_xh_bits_low], [row.i_xh_bits_high - row.i_xh_bits]])
    i_hy = np.abs([[row.i_hy_bits - row.i_hy_bits_low], [row.i_hy_bits_high - row.i_hy_bits]])
    axes.errorbar(
        [at[0]], [at[1]], xerr=i_xh if both else None, yerr=i_hy if both else i_xh, fmt=layer_marker(index),
        markersize=5, color=WARNED if row.warnings else colour, markerfacecolor="white" if row.warnings else colour,
        elinewidth=0.8, zorder=3, gid="warned" if row.warnings else "cell",
    )  # fmt: skip
