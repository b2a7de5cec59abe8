"""I(X;H) and I(H;Y) of every layer against the epoch, a column per task."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from ib_analysis.information.table import InformationRow, quantized_from
from ib_analysis.plots.codes import codes_notes, draw_real_yet, real_yet, real_yet_handle
from ib_analysis.plots.curves import (
    MOST_COLUMNS,
    Curve,
    Panel,
    Quantity,
    change_note,
    draw_curve,
    drawn_range,
    epochs_of,
    layers_of,
    panels_of,
    rows_of,
    seeds_note,
    warnings_note,
)
from ib_analysis.plots.saved import DataFacts, SavedExperiment
from ib_analysis.plots.shannon import draw_truth_about_images, shannon_note
from ib_analysis.plots.style import (
    INK,
    WARNED,
    epoch_axis,
    framed,
    layer_colour,
    layer_marker,
    task_title,
)
from ib_analysis.plots.truth_line import draw_truth_line

__all__ = ["draw"]

_LABELS: dict[Quantity, str] = {"i_xh": "I(X;H), usable, bits", "i_hy": "I(H;Y), probe, bits"}


def draw(saved: SavedExperiment) -> Iterator[tuple[str, Figure]]:
    """One figure: two rows (I(X;H), I(H;Y)), a column per task, with bands, peaks and truth lines; further number
    formats below. Without labels the second row is left out.

    Raises:
        UserError: ``information.csv`` or ``data.json`` is missing or damaged.
    """
    rows, data = saved.information, saved.data
    panels = panels_of(rows)
    columns = min(len(panels), MOST_COLUMNS)
    blocks = -(-len(panels) // columns)  # of a line for each quantity
    quantities: tuple[Quantity, ...] = ("i_xh", "i_hy") if data.has_labels else ("i_xh",)
    about = "image (above) and about the label (below)" if data.has_labels else "image"
    figure, body = framed(
        "Information by epoch",
        f"What each layer tells about the {about} while the network learns; images: "
        f"{data.name}. Bands: 95 % bootstrap intervals over held-out images. Ringed: each layer's peak.",
        [
            *_meaning(rows, data),
            *codes_notes(rows),
            *seeds_note(rows, "hair lines", "bands"),
            *change_note(rows),
            *warnings_note(rows),
        ],
        body_inches=(6.4 if blocks == 1 else 5.5 * blocks) * (1 if data.has_labels else 0.6),
    )
    ratios = (1.25, 1)[: len(quantities)]
    grid = body.subplots(len(ratios) * blocks, columns, sharey="row", squeeze=False, height_ratios=ratios * blocks)
    for place, quantity in enumerate(quantities):
        curves = {panel: _curves(rows, panel, quantity) for panel in panels}
        start, end = drawn_range(curve for found in curves.values() for curve in found.values())
        for axes in (lines := grid[place :: len(quantities)]).flat[len(panels) :]:
            axes.remove()
        for axes, panel in zip(lines.flat, panels, strict=False):
            axes.set_title(task_title(*panel))
            axes.set_ylim(start - 0.025 * (end - start), end * 1.08)  # marks at the lower end are not cut
            first = quantized_from(row for row in rows if (row.task, row.number_format) == panel)
            _draw_panel(axes, curves[panel], layers_of(rows), epochs_of(rows), first)
            _cross_out(axes, curves[panel], rows, panel)
            if quantity == "i_hy":
                draw_truth_line(axes, "y", data.h_y_bits, end, f"H(Y) = {data.h_y_bits:.2f} bits")
            elif data.h_x_bits is not None:
                own = [row for row in rows if (row.task, row.number_format) == panel]
                draw_truth_about_images(axes, "y", own, data.h_x_bits, end)
        for line in lines:
            line[0].set_ylabel(_LABELS[quantity])
    if any(real_yet(rows, panel) for panel in panels):
        body.legend(handles=[real_yet_handle()], loc="outside upper left")
    yield "information_by_epoch", figure


def _curves(rows: tuple[InformationRow, ...], panel: Panel, quantity: Quantity) -> dict[str, Curve]:
    return {layer: Curve.of(found, quantity) for layer in layers_of(rows) if (found := rows_of(rows, panel, layer))}


def _cross_out(axes: Axes, curves: dict[str, Curve], rows: tuple[InformationRow, ...], panel: Panel) -> None:
    for curve in curves.values():
        places = [epochs_of(rows).index(epoch) for epoch in curve.epochs]
        draw_real_yet(axes, curve.epochs, places, curve.value, real_yet(rows, panel))


def _draw_panel(axes: Axes, curves: dict[str, Curve], layers: list[str], epochs: list[int], first: int) -> None:
    handles = []
    for layer, curve in curves.items():
        colour, marker = layer_colour(layers.index(layer)), layer_marker(layers.index(layer))
        places = [epochs.index(epoch) for epoch in curve.epochs]
        draw_curve(axes, places, curve, colour, marker)
        peak = curve.peak_from(first)
        axes.plot(
            [places[peak]], [curve.value[peak]], marker="o", markersize=10, markerfacecolor="none", linestyle="none",
            markeredgecolor=WARNED if curve.warned[peak] else INK, markeredgewidth=1.0, zorder=5, gid="peak",
        )  # fmt: skip
        label = f"{layer}: {curve.value[peak]:.{1 if curve.value[peak] >= 10 else 2}f} at {curve.epochs[peak]}"
        handles.append(Line2D([], [], color=colour, marker=marker, markersize=5, linewidth=1.4, label=label))
    epoch_axis(axes, epochs)
    below = ScaledTranslation(-0.05, -0.38, axes.figure.dpi_scale_trans)  # inches: clear of the epoch's label
    legend = axes.legend(
        handles=handles, title="peak, bits, at epoch", title_fontsize=8, ncols=2, loc="upper left",
        bbox_to_anchor=(0, 0), bbox_transform=axes.transAxes + below, alignment="left", columnspacing=1.2,
    )  # fmt: skip
    for text, curve in zip(legend.get_texts(), curves.values(), strict=True):
        text.set_color(WARNED if curve.warned[curve.peak_from(first)] else INK)


def _meaning(rows: tuple[InformationRow, ...], data: DataFacts) -> list[str]:
    """What the numbers are, and how far the true lower bound lies below them where H(X) is known."""
    notes = [
        "I(X;H) is usable information, mean(L0 − L): what this family of decoders can extract; an estimate, no bound "
        "on Shannon's I(X;H)." + (" I(H;Y) is a lower bound from a held-out probe." if data.has_labels else "")
    ]
    h_x_bits = data.h_x_bits
    if h_x_bits is None:
        return [*notes, shannon_note(rows, None)]
    sentence = shannon_note(rows, h_x_bits, " (dashed line)") + " What rises and falls is usable information."
    gaps = [row.i_xh_bits - row.lower_bound_bits for row in rows if row.lower_bound_bits is not None]
    if gaps:
        sentence += f" A true lower bound, H(X) − mean(L), lies {np.mean(gaps):.1f} bits below every point."
    return [*notes, sentence]
