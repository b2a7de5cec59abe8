"""Whether the decoders had converged: their learning curves with fitted asymptotes, and the bits still to gain."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from ib_analysis.artifacts import UserError
from ib_analysis.information.certificates_table import CONVERGED_BITS, CertificateRow, certificates_line
from ib_analysis.information.table import read_table
from ib_analysis.plots.curves import MOST_COLUMNS
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.style import (
    INK,
    LIGHT,
    MUTED,
    epoch_axis,
    epoch_colours,
    framed,
    layer_colour,
    layer_marker,
    task_title,
)

__all__ = ["draw"]

NULL = "null"
LINEAR_BITS = 0.1
"""The axes of bits are linear up to here, so that zero has a place on them, and logarithmic beyond."""

Panel = tuple[str, str]
Curves = dict[str, dict[str, np.ndarray]]
"""decoder -> column -> values"""


def draw(saved: SavedExperiment) -> Iterator[tuple[str, Figure]]:
    """One figure: per task a row of learning curves (a panel per layer, one for the null condition), and below them
    what is still to gain in every cell.

    Raises:
        UserError: ``certificates.csv`` or a decoder's ``curve.csv`` is missing or damaged.
    """
    rows = read_table(saved.folder / "certificates.csv", CertificateRow)
    if not rows:
        return
    curves = {row.decoder: _curve(saved.folder / "decoders" / row.decoder / "curve.csv") for row in rows}
    if saved.filed.titles:
        for row in rows:
            curve = curves[row.decoder]
            if row.epoch is not None:
                titled = _column_alone(row.epoch, saved.filed.title(row.layer))
                curves[row.decoder] = {**curve, titled: curve[_column(row, curve)]}
        rows = saved.filed.titled(rows)
    images = f" Images: {saved.data.name}." if saved.filed.is_filed else ""
    panels = list(dict.fromkeys((row.task, row.number_format) for row in rows if row.epoch is not None))
    layers = list(dict.fromkeys(row.layer for row in rows if row.epoch is not None))
    lower_inches = 2.5 * -(-len(panels) // MOST_COLUMNS)
    figure, body = framed(
        "Certificates of convergence",
        "Above: code length of the validation images during the fit of the decoder, as its distance from that of the "
        "weights that were kept; a line per epoch of the encoder. Below: bits that the steady phase of the fit had "
        f"still to gain when it ended, with 95 % intervals; an arrow where the curve sets no upper end.{images}",
        [
            certificates_line(rows),
            "Dashed: the power law fitted to the steady phase, continued beyond its end, where the learning rate "
            "begins to cool down (shaded); the cool-down's own fall is no part of it. Marks on the right edge: the "
            "end of an endless fit by that law, which is the kept weights' code length less the bits still to gain.",
        ],
        body_inches=1.75 * len(panels) + lower_inches,
    )
    halves = body.subfigures(2, 1, height_ratios=(1.75 * len(panels), lower_inches), squeeze=False)
    upper, lower = halves[:, 0]
    _draw_curves(upper, rows, curves, panels, layers)
    _draw_gains(lower, rows, panels, layers)
    yield "certificates", figure


# ---------------------------------------------------------------------------------------------- learning curves


def _draw_curves(
    body: SubFigure, rows: Sequence[CertificateRow], curves: Curves, panels: Sequence[Panel], layers: Sequence[str]
) -> None:
    epochs = sorted({row.epoch for row in rows if row.epoch is not None})
    colours = epoch_colours(len(epochs))
    grid = body.subplots(len(panels), len(layers) + 1, sharex=True, sharey=True, squeeze=False)
    ends = [end for row in rows for end in (row.bits_to_gain_high, row.bits_to_gain or 0) if math.isfinite(end)]
    top = max([60.0, *(1.3 * _at_steady_start(row, curves[row.decoder]) for row in rows)])
    for line, panel in zip(grid, panels, strict=True):
        for axes, layer in zip(line, [*layers, NULL], strict=True):
            shown = [row for row in rows if row.layer == layer and _belongs(row, panel)]
            for row in shown:
                colour = INK if row.epoch is None else to_hex(colours(epochs.index(row.epoch)))
                _draw_curve(axes, row, curves[row.decoder], colour)
            _symmetric_log(axes, "y", max([100.0, top, *ends]))
            axes.set_ylim(-1.3 * max([0.2, *ends]), top)
            axes.margins(x=0.02)
            axes.xaxis.set_major_locator(MaxNLocator(2))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
            axes.grid(axis="y", color=LIGHT, linewidth=0.5)
            axes.axhline(0, color=MUTED, linewidth=0.6, zorder=1)
            axes.set_title(layer if layer != NULL else "no condition")
        line[0].set_ylabel(task_title(*panel).replace(", ", "\n"), weight="bold")
    for axes in grid[-1]:
        axes.set_xlabel("step")
    body.supylabel("validation code length, bits above kept weights", size=8.5)
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=colours(index), label=f"epoch {epoch}") for index, epoch in enumerate(epochs)
    ]
    if len(handles) > 6:
        handles = [handles[0], handles[len(handles) // 2], handles[-1]]
    handles.append(Line2D([], [], color=MUTED, linestyle=(0, (4, 1.5)), linewidth=0.9, label="power law"))
    handles.append(Patch(color=LIGHT, label="cool-down"))
    columns = len(handles) if len(handles) <= 7 else -(-len(handles) // 2)  # more would not fit in a line
    body.legend(handles=handles, loc="outside lower center", ncols=columns, columnspacing=1.2)


def _at_steady_start(row: CertificateRow, curve: dict[str, np.ndarray]) -> float:
    """How far a curve lies above its end where the steady phase begins; 0 where that is not a number."""
    values = curve[_column(row, curve)][curve["step"] >= row.steady_start] - row.reached_bits
    return float(values[0]) if len(values) and math.isfinite(values[0]) else 0.0


def _column(row: CertificateRow, curve: dict[str, np.ndarray]) -> str:
    """A row's column of its decoder's curve; in those of decoders of several runs names tell the run."""
    if row.epoch is None:
        return "validation_null_bits"
    alone = _column_alone(row.epoch, row.layer)
    of_run = f"epoch_{row.epoch:04d}/{row.task}_{row.number_format}_seed{row.encoder_seed}/{row.layer}"
    return alone if alone in curve else of_run


def _column_alone(epoch: int, layer: str) -> str:
    return f"epoch_{epoch:04d}/{layer}"


def _belongs(row: CertificateRow, panel: Panel) -> bool:
    """Whether a row has its place in a task's panels; an unconditional decoder has it in all."""
    return row.task == "" or (row.task, row.number_format) == panel


def _draw_curve(axes: Axes, row: CertificateRow, curve: dict[str, np.ndarray], colour: str) -> None:
    steps = curve["step"]
    axes.plot(steps, curve[_column(row, curve)] - row.reached_bits, color=colour, linewidth=1.1, zorder=3, gid="curve")
    if row.steady_end < steps[-1] and not axes.patches:
        axes.axvspan(row.steady_end, steps[-1], color=LIGHT, alpha=0.6, linewidth=0, zorder=0, gid="cooldown")
    if row.bits_to_gain is None or row.steady_asymptote_bits is None or row.exponent is None:
        return
    t = np.linspace(row.steady_start, steps[-1], 60)  # on into the cool-down: where the steady phase was heading
    law = row.steady_asymptote_bits + row.bits_to_gain * (t / row.steady_end) ** -row.exponent
    axes.plot(t, law - row.reached_bits, color=colour, linewidth=0.9, linestyle=(0, (4, 1.5)), zorder=4, gid="law")
    axes.plot(
        [1.0], [-row.bits_to_gain], transform=axes.get_yaxis_transform(), marker="<", markersize=4, color=colour,
        markeredgewidth=0, linestyle="none", clip_on=False, zorder=5, gid="asymptote",
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------- bits still to gain


def _draw_gains(
    body: SubFigure, rows: Sequence[CertificateRow], panels: Sequence[Panel], layers: Sequence[str]
) -> None:
    columns = min(len(panels), MOST_COLUMNS)
    grid = body.subplots(-(-len(panels) // columns), columns, sharey=True, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    epochs = sorted({row.epoch for row in rows if row.epoch is not None})
    finite = [row.bits_to_gain_high for row in rows if math.isfinite(row.bits_to_gain_high)]
    top = 2.5 * max([1.0, *finite, *(row.bits_to_gain_low for row in rows)])
    for axes, panel in zip(grid.flat, panels, strict=False):
        _symmetric_log(axes, "y", top)
        axes.set_ylim(-0.02, top)
        axes.axhline(CONVERGED_BITS, color=INK, linewidth=0.9, linestyle=(0, (2, 1.5)), zorder=1, gid="converged")
        names = [*layers, NULL]
        for row in rows:
            if not _belongs(row, panel):
                continue
            index = names.index(row.layer)
            place = len(epochs) if row.epoch is None else epochs.index(row.epoch) + 0.6 * (index / len(layers) - 0.4)
            _draw_gain(axes, place, row, INK if row.epoch is None else layer_colour(index), index, top)
        epoch_axis(axes, epochs)
        ticks, labels = list(axes.get_xticks()), [text.get_text() for text in axes.get_xticklabels()]
        axes.set_xticks([*ticks, len(epochs)], [*labels, "null"])
        axes.set_xlim(-0.5, len(epochs) + 0.5)
        axes.set_title(task_title(*panel))
        axes.grid(axis="y", color=LIGHT, linewidth=0.5)
    for line in grid:
        line[0].set_ylabel("bits still to gain")
    handles = [
        Line2D([], [], color=layer_colour(k), marker=layer_marker(k), markersize=4.5, linestyle="none", label=layer)
        for k, layer in enumerate(layers)
    ]
    handles.append(Line2D([], [], color=INK, marker="*", markersize=6, linestyle="none", label="null condition"))
    handles.append(
        Line2D([], [], color=INK, linewidth=0.9, linestyle=(0, (2, 1.5)), label=f"{CONVERGED_BITS:g} bit: converged")
    )
    body.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.2)


def _draw_gain(axes: Axes, place: float, row: CertificateRow, colour: str, index: int, top: float) -> None:
    marker = "*" if row.epoch is None else layer_marker(index)
    high = min(row.bits_to_gain_high, 0.8 * top)
    axes.plot([place, place], [row.bits_to_gain_low, high], color=colour, linewidth=1.0, zorder=2, gid="interval")
    if not math.isfinite(row.bits_to_gain_high):
        axes.plot(
            [place], [high], marker="^", markersize=5, color=colour, markerfacecolor="white", linestyle="none",
            zorder=3, gid="open",
        )  # fmt: skip
    if row.bits_to_gain is not None:
        axes.plot(
            [place], [row.bits_to_gain], marker=marker, markersize=6 if row.epoch is None else 4.5, color=colour,
            markeredgecolor="white", markeredgewidth=0.4, linestyle="none", zorder=4, gid="gain",
        )  # fmt: skip


# ---------------------------------------------------------------------------------------------- pieces


def _symmetric_log(axes: Axes, which: str, end: float) -> None:
    (axes.set_yscale if which == "y" else axes.set_xscale)("symlog", linthresh=LINEAR_BITS, linscale=0.5)
    decades = [10.0**k for k in range(-1, 6) if 10.0**k <= end]
    if len(decades) > 4:  # else labels touch
        decades = decades[1::2]
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_locator(FixedLocator([*(-value for value in decades[::-1]), 0.0, *decades]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}".replace("-", "−")))


def _curve(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *lines = list(csv.reader(file))
        columns = np.array(lines, dtype=np.float64).T
        return dict(zip(header, columns, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(
            f"{path} is missing or damaged; delete the folder {path.parent} and run `ib figures` again to fit this "
            "decoder anew."
        ) from error
