"""Layers that are small enough to be counted: the count beside what the decoder reads, by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ib_analysis.information.counted_table import CountedRow
from ib_analysis.information.table import read_table
from ib_analysis.plots.curves import epochs_of, layers_of, panels_of, rows_of
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.style import INK, LIGHT, MUTED, WARNED, epoch_axis, framed, task_title

__all__ = ["draw"]

# column of the table -> what it is called, colour, marker, and how far beside the epoch's place it stands
SERIES: dict[str, tuple[str, str, str, float]] = {
    "plug_in_bits": ("count of the values", INK, "s", -0.12),
    "i_xh_bits": ("usable information, mean(L0 − L)", "#D55E00", "o", 0.0),
    "lower_bits": ("lower bound, H(X) − mean(L)", "#0072B2", "^", 0.12),
}


def draw(saved: SavedExperiment) -> Iterator[tuple[str, Figure]]:
    """One figure: a panel per task, number format and counted layer, each number with its interval by epoch.

    Raises:
        UserError: ``counted.csv`` or ``data.json`` is missing or damaged.
    """
    rows = read_table(saved.folder / "counted.csv", CountedRow)
    if not rows:
        return
    panels = [(panel, layer) for panel in panels_of(rows) for layer in layers_of(rows) if rows_of(rows, panel, layer)]
    known = any(row.lower_bits is not None for row in rows)
    figure, body = framed(
        "Counted layers",
        "I(X;H) = H(H) of layers of at most 12 bits, counted over "
        f"{max(row.n_images for row in rows):,} images, beside what the decoder reads of them; images: "
        f"{saved.data.name}.",
        [
            "Bars: 95 % intervals over images; the upper end of the count has besides what a count of so many images "
            "can be too small by. Usable information is an estimate and no bound"
            + ("; the lower bound cannot lie above the truth." if known else ", and real images give no lower bound."),
            *_notes(rows),
        ],
        body_inches=2.6 * -(-len(panels) // 2) + 0.4,
    )
    grid = body.subplots(-(-len(panels) // 2), min(2, len(panels)), squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    epochs = epochs_of(rows)
    for axes, (panel, layer) in zip(grid.flat, panels, strict=False):
        own = rows_of(rows, panel, layer)
        _draw_panel(axes, own, epochs)
        axes.set_title(f"{task_title(*panel)}, {layer}")
        epoch_axis(axes, epochs, most=8)
    grid[0, 0].set_ylabel("I(X;H), bits")
    handles: list = [
        Line2D([], [], color=colour, marker=marker, markersize=4.5, linewidth=1, label=name)
        for column, (name, colour, marker, _) in SERIES.items()
        if known or column != "lower_bits"
    ]
    handles += [
        Line2D([], [], color=MUTED, linestyle=":", linewidth=1, label="units × bits"),
        *([_saturated_handle()] if any(row.saturated for row in rows) else []),
    ]
    body.legend(handles=handles, loc="outside lower center", ncols=3)
    yield "counted", figure


def _draw_panel(axes: Axes, rows: Sequence[CountedRow], epochs: Sequence[int]) -> None:
    runs = sorted({(row.encoder_seed, row.decoder_seed) for row in rows})
    for seeds in runs:
        own = sorted((row for row in rows if (row.encoder_seed, row.decoder_seed) == seeds), key=lambda row: row.epoch)
        for column, (_, colour, marker, beside) in SERIES.items():
            found = [row for row in own if getattr(row, column) is not None]
            if not found:
                continue
            value, low, high = (
                np.array([getattr(row, column + end) for row in found], dtype=float) for end in ("", "_low", "_high")
            )
            places = [epochs.index(row.epoch) + beside for row in found]
            axes.errorbar(
                places, value, yerr=np.maximum([value - low, high - value], 0), color=colour, marker=marker,
                markersize=4, linewidth=0.9 if len(runs) == 1 else 0.5, elinewidth=0.8, capsize=1.5, gid=column,
            )  # fmt: skip
            if column == "plug_in_bits":
                flagged = [place for place, row in zip(places, found, strict=True) if row.saturated]
                bits = [row.plug_in_bits for row in found if row.saturated]
                axes.plot(flagged, bits, gid="saturated", **_SATURATED)
    axes.axhline(rows[0].units * rows[0].code_bits, color=MUTED, linestyle=":", linewidth=1.0, gid="capacity")
    axes.grid(axis="y", color=LIGHT, linewidth=0.5)


_SATURATED: dict = {
    "linestyle": "none", "marker": "o", "markersize": 9, "markerfacecolor": "none", "markeredgecolor": WARNED,
}  # fmt: skip


def _saturated_handle() -> Line2D:
    return Line2D([], [], label="within a bit of log2 N", **_SATURATED)


def _notes(rows: Sequence[CountedRow]) -> list[str]:
    """What count and decoder say of each other at the last epoch, and what a flagged count means."""
    last = [row for row in rows if row.epoch == max(other.epoch for other in rows)]
    told = dict.fromkeys(
        f"{task_title(row.task, row.number_format)}, {row.layer}: {row.agreement}" for row in last if row.agreement
    )
    notes = [f"Count and decoder at the last epoch: {'; '.join(told)}."] if told else []
    if any(row.saturated for row in rows):
        notes.append("Ringed in grey: a count within a bit of log2 N says more about the number of images than of H.")
    return notes
