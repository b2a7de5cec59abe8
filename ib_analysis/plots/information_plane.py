"""The information plane: I(X;H) against I(H;Y) of all layers and epochs, a panel per task."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Colormap, to_rgba
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from ib_analysis.plots.codes import codes_notes, draw_real_yet, real_yet, real_yet_handle
from ib_analysis.plots.curves import (
    MOST_COLUMNS,
    Curve,
    drawn_range,
    epochs_of,
    layers_of,
    panels_of,
    rows_of,
    seeds_note,
    warnings_note,
)
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.shannon import draw_truth_about_images, shannon_note
from ib_analysis.plots.style import (
    INK,
    LIGHT,
    TRUTH,
    WARNED,
    epoch_colours,
    framed,
    layer_marker,
    legend_columns,
    task_title,
    warned_handle,
)

__all__ = ["draw"]


def draw(saved: SavedExperiment) -> Iterator[tuple[str, Figure]]:
    """One figure: epochs as colours, layers as markers, the truth lines H(X) and H(Y); none without labels.

    Raises:
        UserError: ``information.csv`` or ``data.json`` is missing or damaged.
    """
    rows, data = saved.information, saved.data
    if not data.has_labels:
        return
    panels, layers, epochs = panels_of(rows), layers_of(rows), epochs_of(rows)
    columns = min(len(panels), MOST_COLUMNS)
    lines = -(-len(panels) // columns)
    figure, body = framed(
        "Information plane",
        f"What each layer tells about the image, I(X;H), against what it tells about the label, I(H;Y); images: "
        f"{data.name}. Every point is one layer at one epoch of training.",
        [
            "I(X;H) is usable information, mean(L0 − L): what this family of decoders can extract. It is an estimate, "
            "no bound on Shannon's I(X;H). "
            + shannon_note(rows, data.h_x_bits, "" if data.h_x_bits is None else " (dashed line)"),
            "I(H;Y): H(Y) less the held-out cross-entropy of a probe, a lower bound. Whiskers: 95 % bootstrap "
            "intervals over held-out images.",
            *codes_notes(rows),
            *seeds_note(rows, "small dots", "whiskers"),
            *warnings_note(rows),
        ],
        body_inches=3.35 * lines + 0.35,
    )
    colours = epoch_colours(len(epochs))
    grid = body.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    curves = {
        (panel, layer): (Curve.of(found, "i_xh"), Curve.of(found, "i_hy"))
        for panel in panels
        for layer in layers
        if (found := rows_of(rows, panel, layer))
    }
    real = {panel: real_yet(rows, panel) for panel in panels}
    x_start, x_end = drawn_range(i_xh for i_xh, _ in curves.values())
    y_start, y_end = drawn_range(i_hy for _, i_hy in curves.values())
    y_end = max(y_end, data.h_y_bits)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    for axes, panel in zip(grid.flat, panels, strict=False):
        axes.set_title(task_title(*panel))
        axes.set_xlabel("I(X;H), usable information, bits")
        axes.set_xlim(x_start - 0.02 * x_end, x_end * 1.08)
        axes.set_ylim(y_start - 0.02 * y_end, y_end * 1.10)
        for index, layer in enumerate(layers):
            if (panel, layer) in curves:
                i_xh, i_hy = curves[panel, layer]
                _draw_trajectory(axes, i_xh, i_hy, epochs, colours, layer_marker(index))
                draw_real_yet(axes, i_xh.epochs, i_xh.value, i_hy.value, real[panel])
        if data.h_x_bits is not None:
            own = [row for row in rows if (row.task, row.number_format) == panel]
            draw_truth_about_images(axes, "x", own, data.h_x_bits, x_end)
        axes.axhline(data.h_y_bits, color=TRUTH, linestyle=(0, (5, 3)), linewidth=1.1, gid="truth")
        axes.text(
            0.02, data.h_y_bits, f"H(Y) = {data.h_y_bits:.2f} bits", size=8, va="bottom",
            transform=axes.get_yaxis_transform(),
        )  # fmt: skip
    for row in grid:
        row[0].set_ylabel("I(H;Y), probe, bits")
    beside = [warned_handle()] if any(row.warnings for row in rows) else []
    _legends(body, layers, epochs, [*beside, *([real_yet_handle()] if any(real.values()) else [])])
    yield "information_plane", figure


def _draw_trajectory(axes: Axes, i_xh: Curve, i_hy: Curve, epochs: list[int], colours: Colormap, marker: str) -> None:
    axes.plot(i_xh.value, i_hy.value, color=LIGHT, linewidth=0.9, zorder=1)
    for index, epoch in enumerate(i_xh.epochs):
        warned = bool(i_xh.warned[index])
        colour = WARNED if warned else colours(epochs.index(epoch))
        x, y = i_xh.value[index], i_hy.value[index]
        if len(i_xh.runs) > 1:
            axes.plot(
                i_xh.runs[:, index], i_hy.runs[:, index], marker=".", markersize=3.5, linestyle="none", zorder=2,
                color=colour, markeredgewidth=0, alpha=0.8, gid="run",
            )  # fmt: skip
        axes.errorbar(
            x, y,
            xerr=np.abs([[i_xh.low[index] - x], [i_xh.high[index] - x]]),
            yerr=np.abs([[i_hy.low[index] - y], [i_hy.high[index] - y]]),
            fmt=marker, markersize=6, color=colour, markerfacecolor="white" if warned else colour,
            markeredgecolor=WARNED if warned else "white", markeredgewidth=1.1 if warned else 0.5,
            ecolor=to_rgba(colour, 0.35), elinewidth=0.8, zorder=3, gid="warned" if warned else "cell",
        )  # fmt: skip
    _name_grey_ends(axes, i_xh, i_hy, epochs)


def _name_grey_ends(axes: Axes, i_xh: Curve, i_hy: Curve, epochs: list[int]) -> None:
    """Write the epoch at the ends of a trajectory where they are grey, since grey tells no epoch."""
    if len(i_xh.epochs) < 2:
        return
    scale = np.array([np.ptp(axes.get_xlim()), np.ptp(axes.get_ylim())])
    for end, neighbour in ((0, 1), (-1, -2)):
        if i_xh.warned[end] and i_xh.epochs[end] in (epochs[0], epochs[-1]):
            at = float(i_xh.value[end]), float(i_hy.value[end])
            outwards = (np.array(at) - [i_xh.value[neighbour], i_hy.value[neighbour]]) / scale
            x, y = 10 * outwards / max(float(np.hypot(*outwards)), 1e-9)  # points, away from the neighbour
            axes.annotate(
                str(i_xh.epochs[end]), at, xytext=(x, y), textcoords="offset points", size=8, color=WARNED,
                ha="center", va="center", zorder=2,
            )  # fmt: skip


def _legends(body: SubFigure, layers: list[str], epochs: list[int], beside: list[Artist]) -> None:
    n = len(epochs)
    scale = ScalarMappable(BoundaryNorm(np.arange(n + 1) - 0.5, n), epoch_colours(n))
    step = -(-n // 12)
    bar = body.colorbar(scale, ax=body.axes, ticks=range(0, n, step), label="epoch", aspect=28, pad=0.015)
    bar.ax.set_yticklabels([str(epoch) for epoch in epochs[::step]])
    bar.ax.tick_params(length=0)
    bar.minorticks_off()
    bar.outline.set_visible(False)
    handles: list = [
        Line2D([], [], color=INK, marker=layer_marker(index), linestyle="none", markersize=6, label=layer)
        for index, layer in enumerate(layers)
    ]
    handles += beside
    columns = legend_columns([handle.get_label() for handle in handles])
    body.legend(handles=handles, loc="outside lower center", ncols=columns, handletextpad=0.3)
