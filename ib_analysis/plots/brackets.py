"""Between which ends I(X;H) lies where layers are made of codes: per layer and number format, at the last epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ib_analysis.information.brackets_table import BracketRow
from ib_analysis.information.table import InformationRow, read_table
from ib_analysis.plots.curves import warnings_note
from ib_analysis.plots.number_formats import bits_of
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.style import INK, LIGHT, MUTED, WARNED, framed, task_title, warned_handle

__all__ = ["draw"]

LINEAR_BITS = 1.0
"""The axis of bits is linear between minus and plus this, so that zero has a place on it, and logarithmic beyond."""
BAR, USABLE = "#56B4E9", "#D55E00"
# kind of upper end -> marker, size, colour, and how far beside the bar it stands, so that none hides another
MARKERS: dict[str, tuple[str, float, str, float]] = {
    "capacity": ("v", 5.0, MUTED, 0.0),
    "null_code_length": ("_", 9.0, "#009E73", 0.0),
    "entropy_code": ("s", 4.0, "#0072B2", -0.1),
    "density": ("D", 4.0, "#CC79A7", 0.1),
    "earlier_layer": ("<", 5.0, "#E69F00", 0.0),
}
LABELS = {
    "capacity": "units × bits",
    "null_code_length": "mean(L0)",
    "entropy_code": "entropy code per channel",
    "density": "density model of the codes",
    "earlier_layer": "upper end of an earlier layer",
}


def draw(saved: SavedExperiment) -> Iterator[tuple[str, Figure]]:
    """One figure: a row per task, a column per layer, and in each panel the brackets of the number formats side by
    side; nothing without cells that are made of codes.

    Raises:
        UserError: ``brackets.csv`` or ``information.csv`` is missing or damaged.
    """
    rows = _last(read_table(saved.folder / "brackets.csv", BracketRow))
    if not rows:
        return
    measured = _last(saved.information)
    tasks = list(dict.fromkeys(row.task for row in rows))
    layers = [layer for layer in dict.fromkeys(row.layer for row in measured) if any(r.layer == layer for r in rows)]
    formats = sorted(dict.fromkeys(row.number_format for row in measured), key=bits_of)
    known = any(row.lower_bits is not None for row in rows)
    figure, body = framed(
        "Brackets on I(X;H)",
        "Bits that layers made of codes hold of the image at the last epoch: upper ends of I(X;H)"
        + (", the lower end H(X) − mean(L)," if known else ", for which real images give no lower end,")
        + " and usable information beside them.",
        [
            "A quantized layer is a deterministic code of the image, so that I(X;H) = H(H): at most units × bits, at "
            "most mean(L0) ≥ H(X), and at most the mean length of its codes, or of those of an earlier layer that it "
            "is computed from, under any code that was fitted on other images. The bar ends at the lowest of them"
            + (
                " and begins at the lower bound, or at 0 if that is negative."
                if known
                else "; the arrow says that it is open below."
            ),
            "Usable information, mean(L0 − L), is an estimate and no bound. float32: real numbers, no bracket. "
            "95 % bootstrap intervals over held-out images.",
            *_beside_note(rows),
            *warnings_note(measured, "Usable information in grey, hollow"),
        ],
        body_inches=2.5 * len(tasks) + 0.75,
    )
    grid = body.subplots(len(tasks), len(layers), sharey=True, squeeze=False)
    lowest, highest = _range(rows, measured)
    for line, task in zip(grid, tasks, strict=True):
        for axes, layer in zip(line, layers, strict=True):
            _axis(axes, lowest, highest)
            for place, number_format in enumerate(formats):
                _draw_usable(axes, place, [r for r in measured if _is(r, task, layer, number_format)])
                _draw_brackets(axes, place, [r for r in rows if _is(r, task, layer, number_format)], lowest)
            if measured[0].h_x_bits is not None:
                axes.axhline(measured[0].h_x_bits, color=INK, linestyle=(0, (5, 3)), linewidth=1.0, gid="truth")
            _name_formats(axes, formats, [r for r in rows if (r.task, r.layer) == (task, layer)])
            axes.set_title(layer)
        line[0].set_ylabel(f"{task_title(task)}, bits")
    _legend(body, rows, any(row.warnings for row in measured))
    yield "brackets", figure


# ---------------------------------------------------------------------------------------------- marks


def _draw_brackets(axes: Axes, place: float, rows: Sequence[BracketRow], lowest: float) -> None:
    for row, x in zip(rows, _spread(place, len(rows)), strict=True):
        top = row.upper_bits
        if row.lower_bits is None:
            axes.annotate(
                "", (x, max(lowest, _below(top))), (x, top), zorder=1, gid="open",
                arrowprops={"arrowstyle": "-|>", "color": BAR, "linewidth": 2.2, "shrinkA": 0, "shrinkB": 0},
            )  # fmt: skip
        else:
            start = max(row.lower_bits, 0.0)
            axes.plot([x, x], [start, top], color=BAR, linewidth=7, solid_capstyle="butt", zorder=1, gid="bracket")
            interval = [max(end or 0.0, 0.0) for end in (row.lower_bits_low, row.lower_bits_high)]
            axes.plot([x, x], interval, color=INK, linewidth=0.8, zorder=2)
        for kind, (marker, size, colour, beside) in MARKERS.items():
            if not _tells(row, kind):
                continue
            value = getattr(row, f"{kind}_bits")
            axes.plot(
                [x + beside], [value], marker=marker, markersize=size, color=colour, linestyle="none", zorder=3,
                markeredgewidth=1.6 if marker == "_" else 0.4,
                markeredgecolor=colour if marker == "_" else "white", gid=kind,
            )  # fmt: skip
        if row.counted_bits is not None:
            axes.plot(
                [x], [row.counted_bits], marker="*", markersize=8, color=INK, markeredgewidth=0.4, linestyle="none",
                markeredgecolor="white", zorder=5, gid="counted",
            )  # fmt: skip


def _tells(row: BracketRow, kind: str) -> bool:
    """Whether an end is there; that of an earlier layer says something of its own only below mean(L0) and H(X)."""
    if kind != "earlier_layer":
        return True
    known = [row.null_code_length_bits, row.h_x_bits if row.h_x_bits is not None else row.null_code_length_bits]
    return row.earlier_layer_bits is not None and row.earlier_layer_bits < min(known)


def _draw_usable(axes: Axes, place: float, rows: Sequence[InformationRow]) -> None:
    for row, x in zip(rows, _spread(place, len(rows)), strict=True):
        colour = WARNED if row.warnings else USABLE
        axes.plot([x + 0.2] * 2, [row.i_xh_bits_low, row.i_xh_bits_high], color=colour, linewidth=1.0, zorder=3)
        axes.plot(
            [x + 0.2], [row.i_xh_bits], marker="o", markersize=5, color=colour, linestyle="none", zorder=4,
            markerfacecolor="white" if row.warnings else colour, markeredgewidth=1.1, gid="usable",
        )  # fmt: skip


def _legend(body: SubFigure, rows: Sequence[BracketRow], warned: bool) -> None:
    handles: list = [Patch(color=BAR, label="bracket on I(X;H)")]
    handles += [
        Line2D([], [], marker=marker, markersize=size, color=colour, linestyle="none", label=LABELS[kind],
               markeredgewidth=1.6 if marker == "_" else 0.4)
        for kind, (marker, size, colour, _) in MARKERS.items()
        if any(_tells(row, kind) for row in rows)
    ]  # fmt: skip
    if any(row.h_x_bits is not None for row in rows):
        handles.append(Line2D([], [], color=INK, linestyle=(0, (5, 3)), linewidth=1.0, label="H(X)"))
    if any(row.counted_bits is not None for row in rows):
        handles.append(Line2D([], [], color=INK, marker="*", markersize=8, linestyle="none", label="counted"))
    handles.append(Line2D([], [], color=USABLE, marker="o", markersize=5, linestyle="none", label="usable, estimate"))
    handles += [warned_handle()] if warned else []
    body.legend(handles=handles, loc="outside lower center", ncols=3, columnspacing=1.2, handletextpad=0.4)


# ---------------------------------------------------------------------------------------------- axes


def _axis(axes: Axes, lowest: float, highest: float) -> None:
    axes.set_yscale("symlog", linthresh=LINEAR_BITS, linscale=0.4)
    decades = [10.0**k for k in range(6) if 10.0**k <= highest]
    below = [-(10.0**k) for k in range(6) if -(10.0**k) >= lowest]
    axes.yaxis.set_major_locator(FixedLocator([*below[::-1], 0.0, *decades]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}".replace("-", "−")))
    axes.set_ylim(lowest, highest)
    axes.grid(axis="y", color=LIGHT, linewidth=0.5)


def _name_formats(axes: Axes, formats: Sequence[str], rows: Sequence[BracketRow]) -> None:
    beside = {row.number_format for row in rows if not row.code_is_bottleneck}
    labels = [name.replace("_", "\n") + (" *" if name in beside else "") for name in formats]
    axes.set_xticks(range(len(formats)), labels)
    axes.set_xlim(-0.5, len(formats) - 0.3)


def _range(rows: Sequence[BracketRow], measured: Sequence[InformationRow]) -> tuple[float, float]:
    """From a little below the lowest mark (0 at the most) to a little above the highest."""
    lows = [0.0, *(row.i_xh_bits_low for row in measured)]
    highs = [row.capacity_bits for row in rows] + [row.i_xh_bits_high for row in measured]
    lowest = float(min(lows))
    return (1.5 * lowest if lowest < -LINEAR_BITS else min(lowest, -0.1)), 2.0 * float(max(highs))


def _below(value: float) -> float:
    """Where an arrow ends that starts at a value: a third of a decade further down."""
    return value / 2.2 if value > LINEAR_BITS else value - 0.4


def _spread(place: float, count: int) -> np.ndarray:
    """Places of so many seeds around the place of their format."""
    return place + (np.arange(count) - (count - 1) / 2) * 0.16


# ---------------------------------------------------------------------------------------------- rows


def _last(rows: Sequence) -> list:
    """The rows of the last epoch."""
    last = max((row.epoch for row in rows), default=0)
    return [row for row in rows if row.epoch == last]


def _is(row: BracketRow | InformationRow, task: str, layer: str, number_format: str) -> bool:
    return (row.task, row.layer, row.number_format) == (task, layer, number_format)


def _beside_note(rows: Sequence[BracketRow]) -> list[str]:
    if all(row.code_is_bottleneck for row in rows):
        return []
    return [
        "*: real numbers pass beside these codes on a shortcut, so that the codes are no bottleneck: later layers may "
        "hold more than the bracket."
    ]
