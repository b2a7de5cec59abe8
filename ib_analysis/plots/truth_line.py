"""A dashed line at a quantity that is known exactly, which stays on the page however far from the data it lies."""

from __future__ import annotations

from typing import Literal

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator
from matplotlib.transforms import blended_transform_factory

from ib_analysis.plots.style import MUTED, TRUTH

__all__ = ["FAR", "draw_truth_line"]

FAR = 1.6
"""A truth further than this many times the data's end is drawn beyond a break of the axis."""

_END, _BREAK, _LINE = 1.22, 0.885, 0.95  # axis end over the data's end; places along the axis as shares of it


def draw_truth_line(axes: Axes, axis: Literal["x", "y"], value: float, data_end: float, text: str) -> bool:
    """Set the axis' upper end and draw the line with its text.

    Arguments:
        axes: where.
        axis: the axis that measures the quantity.
        value: the exact value, in the unit of the axis.
        data_end: the largest value drawn on that axis.
        text: what the line is, with its value.

    Returns:
        Whether the axis is broken: the line is then drawn beyond the break, not to scale.
    """
    start = (axes.get_xlim() if axis == "x" else axes.get_ylim())[0]
    broken = data_end > 0 and value > FAR * data_end
    end = start + (data_end - start) * _END if broken else max(data_end, value) * 1.12
    across = axes.get_xaxis_transform() if axis == "x" else axes.get_yaxis_transform()
    place = value
    if broken:
        place = start + _LINE * (end - start)
        _mark_break(axes, axis)
        ticks = [tick for tick in MaxNLocator(5).tick_values(start, data_end) if start <= tick <= data_end * 1.04]
        (axes.xaxis if axis == "x" else axes.yaxis).set_major_locator(FixedLocator(ticks))
    if axis == "x":
        axes.set_xlim(start, end)
        axes.axvline(place, color=TRUTH, linestyle=(0, (5, 3)), linewidth=1.1, gid="truth")
        axes.text(place, 0.03, text + " ", rotation=90, size=8, ha="right", va="bottom", transform=across)
    else:
        axes.set_ylim(start, end)
        axes.axhline(place, color=TRUTH, linestyle=(0, (5, 3)), linewidth=1.1, gid="truth")
        axes.text(0.015, place, text, size=8, ha="left", va="bottom", transform=across)
    return broken


def _mark_break(axes: Axes, axis: Literal["x", "y"]) -> None:
    """Two slashes with a gap on the axis' own spine."""
    whole = blended_transform_factory(axes.transAxes, axes.transAxes)
    for shift in (-0.011, 0.011):
        at = _BREAK + shift
        along, over = (at - 0.008, at + 0.008), (-0.018, 0.018)
        xs, ys = (along, over) if axis == "x" else (over, along)
        axes.plot(xs, ys, transform=whole, color=MUTED, linewidth=1.0, clip_on=False, zorder=12)
    gap = ((_BREAK - 0.011, _BREAK + 0.011), (0.0, 0.0))
    xs, ys = gap if axis == "x" else (gap[1], gap[0])
    axes.plot(xs, ys, transform=whole, color="white", linewidth=2.5, clip_on=False, zorder=11, solid_capstyle="butt")
