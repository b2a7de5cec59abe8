"""Estimates against exactly known truths, and what both code lengths waste."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ib_analysis.information.table import read_filled_table
from ib_analysis.information.tolerance import tolerance_bits
from ib_analysis.plots.style import INK, LIGHT, TRUTH, WARNED, framed, layer_colour, layer_marker, warned_handle
from ib_analysis.studies.calibration.rows import CalibrationRow

__all__ = ["draw"]

USABLE, BOUND, GIVEN, NULL = (layer_colour(index) for index in (0, 1, 2, 3))

LINEAR_BELOW_BITS = 1.0
"""Axes are linear up to here, so that zero has a place on them, and logarithmic beyond."""
LINEAR_ERROR_BITS = 0.1
"""The same for the axes of errors."""


class _Point(NamedTuple):
    """A value with its interval."""

    value: float
    low: float
    high: float


def draw(table: Path) -> Iterator[tuple[str, Figure]]:
    """One figure: both estimators against the truth; their errors; the errors of both code lengths.

    Arguments:
        table: ``calibration.csv``.

    Raises:
        UserError: it is missing, damaged or empty.
    """
    rows = read_filled_table(table, CalibrationRow, "ib calibrate")
    estimated = sum(row.estimated_within == "yes" for row in rows)
    bounds = sum(row.lower_bound_within == "yes" for row in rows)
    figure, body = framed(
        "Calibration on known truths",
        "Coins and factors of images sent through channels of exactly known information: what the decoders find "
        "against what is there, and by how many bits both code lengths are too long.",
        [
            "Usable information is mean(L0 − L); the lower bound is H(X) − mean(L). Truth: what the channels let "
            "through in these evaluation images. Whiskers: 95 % bootstrap intervals over the evaluation images; those "
            "of errors are paired.",
            f"Shaded: max(2 %, 0.5 bit), which {estimated} of {len(rows)} estimates and {bounds} of {len(rows)} lower "
            "bounds keep. The error of usable information is the difference of the two errors on the lower right: a "
            "small one may hide two large ones.",
        ],
        body_inches=4.7,
    )
    grid = body.subplot_mosaic([["truth", "errors"], ["truth", "lengths"]], width_ratios=(1, 1.08))
    kinds = list(dict.fromkeys((row.source, row.channel) for row in rows))
    _draw_estimates(grid["truth"], rows, kinds)
    _draw_errors(grid["errors"], rows, kinds)
    _draw_lengths(grid["lengths"], rows, kinds)
    _legend(body, kinds, any(row.warnings for row in rows))
    yield "calibration", figure


Kinds = list[tuple[str, str]]


def _draw_estimates(axes: Axes, rows: Sequence[CalibrationRow], kinds: Kinds) -> None:
    end = 1.5 * max(max(row.true_bits, row.estimated_bits_high, row.lower_bound_bits_high) for row in rows)
    start = min(-0.7, *(min(row.estimated_bits_low, row.lower_bound_bits_low) for row in rows))
    _bits_axis(axes, "x", -0.3, end)
    _bits_axis(axes, "y", start, end)
    x = _positions(end)
    tolerance = np.array([tolerance_bits(value) for value in x])
    axes.fill_between(x, x - tolerance, x + tolerance, color=LIGHT, linewidth=0, zorder=0, gid="tolerance")
    axes.plot(x, x, color=TRUTH, linewidth=0.9, zorder=1, gid="identity")
    for row in rows:
        bound = _Point(row.lower_bound_bits, row.lower_bound_bits_low, row.lower_bound_bits_high)
        usable = _Point(row.estimated_bits, row.estimated_bits_low, row.estimated_bits_high)
        _draw_point(axes, row, bound, BOUND, kinds)
        _draw_point(axes, row, usable, USABLE, kinds)
    axes.set_title("Estimate against truth")
    axes.set_xlabel("true I(X;H), bits")
    axes.set_ylabel("estimated I(X;H), bits")


def _draw_errors(axes: Axes, rows: Sequence[CalibrationRow], kinds: Kinds) -> None:
    end = 1.5 * max(row.true_bits for row in rows)
    _bits_axis(axes, "x", -0.3, end)
    points = []
    for row in rows:
        error = _Point(row.estimated_error_bits, row.estimated_error_bits_low, row.estimated_error_bits_high)
        # The lower bound is too small by exactly what the code length is too long.
        bound = _Point(row.lower_bound_error_bits, -row.code_length_error_bits_high, -row.code_length_error_bits_low)
        points += [error, bound]
        _draw_point(axes, row, bound, BOUND, kinds)
        _draw_point(axes, row, error, USABLE, kinds)
    _error_axis(axes, points, at_least=1.2)
    x = _positions(end)
    tolerance = np.array([tolerance_bits(value) for value in x])
    axes.fill_between(x, -tolerance, tolerance, color=LIGHT, linewidth=0, zorder=0, gid="tolerance")
    axes.set_title("Error of the estimates")
    axes.set_ylabel("estimate − truth, bits")


def _draw_lengths(axes: Axes, rows: Sequence[CalibrationRow], kinds: Kinds) -> None:
    _bits_axis(axes, "x", -0.3, 1.5 * max(row.true_bits for row in rows))
    points = []
    for row in rows:
        null = _Point(
            row.null_code_length_error_bits, row.null_code_length_error_bits_low, row.null_code_length_error_bits_high
        )  # fmt: skip
        given = _Point(row.code_length_error_bits, row.code_length_error_bits_low, row.code_length_error_bits_high)
        points += [null, given]
        _draw_point(axes, row, null, NULL, kinds)
        _draw_point(axes, row, given, GIVEN, kinds)
    _error_axis(axes, points, at_least=0.2)
    axes.set_title("Error of the code lengths")
    axes.set_xlabel("true I(X;H), bits")
    axes.set_ylabel("code length − entropy, bits")


def _draw_point(axes: Axes, row: CalibrationRow, point: _Point, colour: str, kinds: Kinds) -> None:
    warned = bool(row.warnings)
    shown = WARNED if warned else colour
    whiskers = [[max(point.value - point.low, 0)], [max(point.high - point.value, 0)]]
    axes.errorbar(
        row.true_bits, point.value, yerr=whiskers, fmt=layer_marker(kinds.index((row.source, row.channel))),
        markersize=4.5, color=shown, markerfacecolor="white" if warned else shown,
        markeredgecolor=colour if warned else "white", markeredgewidth=1.0 if warned else 0.5,
        ecolor=to_rgba(shown, 0.7), elinewidth=0.9, zorder=3, gid="warned" if warned else "cell",
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------- axes and legend


def _positions(end: float) -> np.ndarray:
    return np.concatenate([np.linspace(0, 1, 40), np.geomspace(1, max(end, 1.1), 200)[1:]])


def _bits_axis(axes: Axes, which: str, start: float, end: float) -> None:
    decades = [10.0**k for k in range(int(np.ceil(np.log10(max(end, 1.1)))) + 1) if 10.0**k <= end]
    _symmetric_log(axes, which, LINEAR_BELOW_BITS, [0.0, *decades])
    (axes.set_xlim if which == "x" else axes.set_ylim)(start, max(end, 1.5))


def _error_axis(axes: Axes, points: Iterable[_Point], at_least: float) -> None:
    ends = [value for point in points for value in point if np.isfinite(value)]
    low, high = min([-at_least, *ends]), max([at_least, *ends])
    decades = [10.0**k for k in range(-1, 5) if 10.0**k <= max(-low, high)]
    _symmetric_log(axes, "y", LINEAR_ERROR_BITS, [*(-value for value in decades[::-1]), 0.0, *decades])
    axes.set_ylim(1.4 * low, 1.4 * high)
    axes.axhline(0, color=TRUTH, linewidth=0.9, zorder=1)


def _symmetric_log(axes: Axes, which: str, linear: float, ticks: list[float]) -> None:
    (axes.set_xscale if which == "x" else axes.set_yscale)("symlog", linthresh=linear, linscale=0.6)
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}".replace("-", "−")))


_CHANNELS = {"erasure": "erasures", "flip": "flips"}


def _legend(body: SubFigure, kinds: Kinds, warned: bool) -> None:
    def dot(colour: str, label: str) -> Line2D:
        return Line2D([], [], color=colour, marker="o", markersize=5.5, linestyle="none", label=label)

    handles: list = [
        dot(USABLE, "usable information"),
        dot(BOUND, "lower bound"),
        dot(GIVEN, "L − H(X|H)"),
        dot(NULL, "L0 − H(X)"),
        Patch(color=LIGHT, label="max(2 %, 0.5 bit)"),
    ]
    for index, (source, channel) in enumerate(kinds):
        label = f"{source}, {_CHANNELS.get(channel, channel)}"
        marker = layer_marker(index)
        handles.append(Line2D([], [], color=INK, marker=marker, markersize=5, linestyle="none", label=label))
    if warned:
        handles.append(warned_handle())
    body.legend(handles=handles, loc="outside lower center", ncols=4, handletextpad=0.4, columnspacing=1.4)
