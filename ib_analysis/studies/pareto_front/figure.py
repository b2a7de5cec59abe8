"""Fronts in loss space; the same points in the information plane are in `information_figure`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from ib_analysis.plots.style import INK, LIGHT, MUTED, framed, layer_colour, layer_marker
from ib_analysis.studies.pareto_front.information_figure import information_figure
from ib_analysis.studies.pareto_front.rows import ParetoNetworkRow, ParetoPointRow
from ib_analysis.studies.pareto_front.summary import KINDS, limit_sentences, middle_sentence
from ib_analysis.studies.pareto_front.table import Tables, read_tables

__all__ = ["draw"]

PANEL = (215.0, 200.0)
"""Width and height of the panel of losses, in points, more or less."""

SIZE = 8
"""Of what is written beside points, in points."""


def draw(folder: Path) -> Iterator[tuple[str, Figure]]:
    """Two figures per number format: losses and qualities of the points, and what their layers keep.

    Arguments:
        folder: where the study's tables lie.

    Raises:
        UserError: a table is missing or damaged.
    """
    tables = read_tables(folder)
    for number_format in dict.fromkeys(row.number_format for row in tables.points if row.kind):
        end = "" if number_format == "float32" else f"_{number_format}"
        yield f"pareto_front{end}", _losses(tables, number_format)
        yield f"pareto_front_information{end}", information_figure(tables, number_format)


def _losses(tables: Tables, number_format: str) -> Figure:
    points = [row for row in tables.points if row.number_format == number_format]
    networks = [row for row in tables.networks if row.number_format == number_format]
    fronts = [row for row in points if row.kind]
    seeds = fronts[0].n_seeds
    figure, body = framed(
        "The front between recognising and remembering",
        "Networks of one trunk that classify and reconstruct: held-out losses, as shares of what knowing no image "
        "costs (left), and accuracy against PSNR (right)."
        + (f" Large: means of {seeds} seeds; small: single seeds." if seeds > 1 else ""),
        [
            "Grey rays: where the preference (written at the point as r of classification : r of reconstruction) asks "
            "the losses to be; exact Pareto search aims at that for training images. Whiskers: "
            f"{fronts[0].confidence:.0%} intervals for new {'seeds and images' if seeds > 1 else 'images'}."
            + (" Dashed: networks of a single task." if len(points) > len(fronts) else "")
            + (" Dotted: limits, which training images are held to." if _limits(fronts) else ""),
            *limit_sentences(fronts),
            *(middle_sentence(row) for row in tables.middle if row.number_format == number_format),
        ],
        body_inches=3.5,
    )
    left, right = body.subplots(1, 2)
    for kind in dict.fromkeys(row.kind for row in fronts):
        own = [row for row in fronts if row.kind == kind]
        seeds_of = [row for row in networks if row.kind == kind]
        _draw_front(left, own, seeds_of, kind, ("classification_loss", "reconstruction_loss"), (1, 1))
        _draw_qualities(right, own, seeds_of, kind)
    for row in points:
        if not row.kind:
            _draw_single_task(left, right, row)
    for limit in _limits(fronts):
        left.axhline(limit, color=_colour("limit"), linewidth=0.9, linestyle=(0, (1, 2)), zorder=1, gid="limit")
    _loss_axes(left)
    left.set_xlabel("classification loss")
    left.set_ylabel("reconstruction loss")
    right.set_xlabel("accuracy, %")
    right.set_ylabel("PSNR, dB")
    _draw_rays(left, fronts)
    _name_points(left, fronts)
    handles = [
        Line2D([], [], color=_colour(kind), marker=_marker(kind), markersize=5, linewidth=1.0, label=name)
        for kind, name in KINDS.items()
        if any(row.kind == kind for row in fronts)
    ]
    body.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _limits(points: Sequence[ParetoPointRow]) -> list[float]:
    """Of the reconstruction loss."""
    return [float(row.wanted) for row in points if row.kind == "limit"]


def _loss_axes(axes: Axes) -> None:
    """Logarithmic, with few plain numbers: a preference speaks of ratios."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        decades = np.log10(high / low)
        steps = (1, 2, 5) if decades < 1.5 else (1, 3) if decades < 2.5 else (1,)
        axis.set_major_locator(MaxNLocator(4) if decades < 0.5 else LogLocator(subs=steps))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())


def _draw_qualities(
    axes: Axes, points: Sequence[ParetoPointRow], networks: Sequence[ParetoNetworkRow], kind: str
) -> None:
    _draw_front(axes, points, networks, kind, ("accuracy", "psnr_db"), (100, 1))
    for row in points:
        accuracy, psnr = 100 * (row.accuracy or 0), row.psnr_db or 0
        # An interval for the mean over seeds knows nothing of 100 %; what lies beyond is not drawn.
        ends = 100 * np.clip([row.accuracy_low or 0, row.accuracy_high or 0], 0, 1)
        heights = np.array([row.psnr_db_low or 0, row.psnr_db_high or 0])
        axes.errorbar(
            [accuracy], [psnr], xerr=np.abs(ends - accuracy)[:, None], yerr=np.abs(heights - psnr)[:, None], fmt="none",
            ecolor=_colour(kind), elinewidth=0.8, alpha=0.5, zorder=2, gid="interval",
        )  # fmt: skip


def _draw_front(
    axes: Axes, points: Sequence[ParetoPointRow], networks: Sequence[ParetoNetworkRow], kind: str,
    names: tuple[str, str], scales: tuple[float, float],
) -> None:  # fmt: skip
    """Points in their order, joined, and the single seeds."""

    def columns(rows: Sequence[ParetoPointRow] | Sequence[ParetoNetworkRow]) -> list[list[float]]:
        return [[scale * getattr(row, name) for row in rows] for name, scale in zip(names, scales, strict=True)]

    colour, marker = _colour(kind), _marker(kind)
    axes.plot(*columns(points), color=colour, marker=marker, markersize=5, linewidth=1.0, zorder=3, gid="front")
    axes.plot(
        *columns(networks), linestyle="none", marker=marker, markersize=2.6, color=colour, alpha=0.6, markeredgewidth=0,
        zorder=2, gid="seeds",
    )  # fmt: skip


def _name_points(axes: Axes, points: Sequence[ParetoPointRow]) -> None:
    """Write each point's wish beside it, where neither another point nor what was written before is; the axes stay."""
    scale = np.array(PANEL) / np.ptp(np.log([axes.get_xlim(), axes.get_ylim()]), axis=1)
    places = [scale * np.log([row.classification_loss or 1, row.reconstruction_loss or 1]) for row in points]
    edge = scale[0] * np.log(axes.get_xlim()[0])  # where the other axis' numbers are
    taken: list[tuple[float, float, float, float]] = [(x - 4, y - 4, x + 4, y + 4) for x, y in places]
    for row, (x, y) in zip(points, places, strict=True):
        text = row.wanted.replace(":", " : ")
        width, height = 0.6 * SIZE * len(text), 1.2 * SIZE
        # Fronts fall to the right: preferences stand above them, limits, whose points mostly lie lower, below.
        sides = [(1, 1), (1, -1), (-1, -1), (-1, 1)] if row.kind != "limit" else [(-1, -1), (1, 1), (1, -1), (-1, 1)]
        boxes = []
        for right, up in sides:
            start, low = x + 6 * right - (width if right < 0 else 0), y + 5 * up - (height if up < 0 else 0)
            boxes.append((start, low, start + width, low + height))
        free = [
            side for side, box in enumerate(boxes) if box[0] > edge and not any(_overlap(box, other) for other in taken)
        ]
        side = free[0] if free else 0
        taken.append(boxes[side])
        right, up = sides[side]
        axes.annotate(
            text, (row.classification_loss or 1, row.reconstruction_loss or 1), xytext=(6 * right, 5 * up),
            textcoords="offset points", size=SIZE, color=MUTED, zorder=4, ha="left" if right > 0 else "right",
            va="bottom" if up > 0 else "top", path_effects=[withStroke(linewidth=2, foreground="white")],
        )  # fmt: skip


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two boxes (left, bottom, right, top) have a place in common."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _draw_single_task(left: Axes, right: Axes, row: ParetoPointRow) -> None:
    style = {"color": INK, "linewidth": 0.8, "linestyle": (0, (4, 3)), "zorder": 1, "gid": "single"}
    if row.classification_loss is not None and row.accuracy is not None:
        left.axvline(row.classification_loss, **style)  # type: ignore[arg-type]
        right.axvline(100 * row.accuracy, **style)  # type: ignore[arg-type]
    if row.reconstruction_loss is not None and row.psnr_db is not None:
        left.axhline(row.reconstruction_loss, **style)  # type: ignore[arg-type]
        right.axhline(row.psnr_db, **style)  # type: ignore[arg-type]


def _draw_rays(axes: Axes, points: Sequence[ParetoPointRow]) -> None:
    """Lines with r_c l_c = r_a l_a, of slope 1 in the logarithms; the axes stay as they are."""
    limits = axes.get_xlim(), axes.get_ylim()
    for wanted in dict.fromkeys(row.wanted for row in points if ":" in row.wanted):
        first, second = map(float, wanted.split(":"))
        x = np.array(limits[0])
        axes.plot(x, x * first / second, color=LIGHT, linewidth=0.8, zorder=0, gid="ray")
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])


def _colour(kind: str) -> str:
    return layer_colour(list(KINDS).index(kind))


def _marker(kind: str) -> str:
    return layer_marker(list(KINDS).index(kind))
