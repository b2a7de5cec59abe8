"""What all figures share: size, colours, markers, titles and notes, and how a figure is written to disk.

Colours are those of Okabe & Ito (https://jfly.uni-koeln.de/color/), told apart by every common kind of colour
vision; layers also differ in their markers, so that a figure survives a black-and-white printer. Figures are made
with matplotlib's objects alone: no global state is touched, and equal artifacts give equal bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath

from ib_analysis.artifacts import write_atomically

__all__ = [
    "INK",
    "LAYER_COLOURS",
    "LAYER_MARKERS",
    "LIGHT",
    "TRUTH",
    "WARNED",
    "drawing_style",
    "epoch_axis",
    "epoch_colours",
    "framed",
    "layer_colour",
    "layer_marker",
    "legend_columns",
    "save",
    "save_all",
    "task_name",
    "task_title",
    "warned_handle",
]

WIDTH_INCHES = 7.0
"""The text width of a printed page; no font in a figure is smaller than 8 points at this width."""

INK, MUTED, LIGHT = "#1a1a1a", "#4d4d4d", "#d4d4d4"
WARNED = "#8c8c8c"
"""The grey of cells that come with a warning."""
TRUTH = "#1a1a1a"
"""The colour of the truth lines H(X) and H(Y)."""

LAYER_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#1a1a1a", "#882255")
LAYER_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "h")

_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so every machine draws the same letters
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.labelsize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.axisbelow": True,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "text.color": INK,
    "text.usetex": False,
    "text.parse_math": False,  # names of data and classes are the user's, and a $ in them is a $
    "savefig.facecolor": "white",
    "figure.facecolor": "white",
    "svg.hashsalt": "ib-analysis",  # ids inside an SVG are random without it
    "svg.fonttype": "path",
    "path.simplify": False,
}

_TASK_TITLES = {"classification": "Classification", "autoencoding": "Autoencoding"}


@contextmanager
def drawing_style() -> Iterator[None]:
    """Draw and save inside this block: the project's settings over matplotlib's defaults, whatever the user's are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def framed(title: str, subtitle: str, notes: Sequence[str], body_inches: float) -> tuple[Figure, SubFigure]:
    """An empty figure with a title, a sentence on what is shown, and notes below.

    Arguments:
        title: what the figure is about, in words.
        subtitle: what is drawn against what.
        notes: sentences a reader needs to read the figure rightly; wrapped, one paragraph each.
        body_inches: height of the part between, where axes go.

    Returns:
        The figure, and the part of it to draw on.
    """
    above = _wrapped(subtitle, 8.5)
    below = [line for note in notes for line in _wrapped(note, 8)]
    head = 0.34 + 0.15 * len(above)
    foot = 0.10 + 0.14 * len(below) if below else 0.05
    height = head + body_inches + foot
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    # Only the room above and below is needed: the text there is placed in inches.
    body = figure.subfigures(3, 1, height_ratios=(head, body_inches, foot), squeeze=False)[1, 0]
    left = 0.08 / WIDTH_INCHES
    figure.text(left, 1 - 0.08 / height, title, size=11, weight="bold", va="top")
    figure.text(left, 1 - 0.30 / height, "\n".join(above), size=8.5, color=MUTED, va="top", linespacing=1.15)
    figure.text(left, 0.05 / height, "\n".join(below), size=8, color=MUTED, va="bottom", linespacing=1.15)
    return figure, body


def _wrapped(text: str, points: float) -> list[str]:
    """Break a text into lines that fit the figure's width, measured in the figures' own font."""
    room = (WIDTH_INCHES - 0.2) * 72
    font = FontProperties(family="DejaVu Sans", size=points)
    lines, line_width = [""], 0.0
    for word in text.split():
        width = _width(f"{word} ", font)
        if lines[-1] and line_width + width > room:
            lines.append("")
            line_width = 0.0
        lines[-1] = f"{lines[-1]} {word}".strip()
        line_width += width
    return lines


@cache
def _width(word: str, font: FontProperties) -> float:
    """Width in points; the space at the end counts through the width of the letter n."""
    return float(TextPath((0, 0), word.replace(" ", "n"), prop=font).get_extents().width) * 1.01


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG (200 dpi) and SVG, each atomically; equal figures give equal bytes.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """
    paths = []
    without_date: dict[str, dict[str, str | None]] = {"png": {"Software": None}, "svg": {"Date": None}}
    for suffix, metadata in without_date.items():
        path = folder / f"{name}.{suffix}"
        with write_atomically(path) as file:
            figure.savefig(file, format=suffix, dpi=200, metadata=metadata)
        paths.append(path)
        figure.set_layout_engine("none")  # it has been laid out; doing it again would only take time
    return paths


def save_all(figures: Iterable[tuple[str, Figure]], folder: Path) -> list[Path]:
    """Draw figures in the project's style and write each (see `save`); a figure is made only when its turn has come.

    Arguments:
        figures: name -> figure, as the modules' `draw` yield them.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """
    with drawing_style():
        return [path for name, figure in figures for path in save(figure, folder, name)]


def task_title(task: str, number_format: str = "float32") -> str:
    """How a panel is called.

    >>> task_title("classification"), task_title("autoencoding", "int8")
    ('Classification', 'Autoencoding, int8')
    """
    title = task_name(task)
    return title if number_format == "float32" else f"{title}, {number_format}"


def task_name(task: str) -> str:
    """How a task is called.

    Of a network of both tasks, with what it was asked for: r of classification : r of autoencoding, or a limit of the
    reconstruction loss.

    >>> task_name("autoencoding"), task_name("joint-4-1"), task_name("joint-linear-4-1"), task_name("joint-limit-0.1")
    ('Autoencoding', 'Joint 4 : 1', 'Joint 4 : 1, linear', 'Joint, at most 0.1')
    """
    joint = re.fullmatch(r"joint-(?:(linear|limit)-)?([\d.]+)(?:-([\d.]+))?", task)
    if joint is not None:
        if joint[1] == "limit":
            return f"Joint, at most {joint[2]}"
        return f"Joint {joint[2]} : {joint[3]}" + (", linear" if joint[1] else "")
    return _TASK_TITLES.get(task, task.replace("_", " ").capitalize())


def layer_colour(index: int) -> str:
    """The colour of the layer at this place, from the input on."""
    return LAYER_COLOURS[index % len(LAYER_COLOURS)]


def layer_marker(index: int) -> str:
    """The marker of the layer at this place, from the input on."""
    return LAYER_MARKERS[index % len(LAYER_MARKERS)]


def legend_columns(labels: Sequence[str]) -> int:
    """Columns of a legend below a figure, at most eight, such that no line is wider than the figure.

    >>> legend_columns(["h1", "h2", "h3", "h4", "grey, hollow: cell with a warning"])
    5
    >>> legend_columns([f"h{stage}_{stream}" for stage in range(1, 5) for stream in ("residual", "transient")])
    4
    """
    for columns in range(min(len(labels), 8), 1, -1):
        rows = -(-len(labels) // columns)
        widest = [max(map(len, labels[start : start + rows])) for start in range(0, len(labels), rows)]
        if sum(widest) + 5 * len(widest) <= 105:  # letters, and a marker and a gap for each
            return len(widest)
    return 1


def epoch_colours(n: int) -> ListedColormap:
    """`n` colours from dark to light for the epochs in their order; viridis without its palest end."""
    viridis = matplotlib.colormaps["viridis"]
    return ListedColormap([viridis(0.93 * index / max(n - 1, 1)) for index in range(n)])


def epoch_axis(axes: Axes, epochs: Sequence[int], most: int = 12, label: bool = True) -> None:
    """Checkpoints side by side at positions 0, 1, 2, ..., labelled with their real epochs.

    Evenly spaced, since checkpoints are dense at first and sparse later, and epoch 0 has no place on a log axis.
    """
    step = -(-len(epochs) // most)
    shown = [*range(0, len(epochs) - 1, step), len(epochs) - 1]
    if len(shown) > 1 and shown[-1] - shown[-2] < step:  # two labels would touch
        del shown[-2]
    axes.set_xticks(shown, [str(epochs[index]) for index in shown])
    axes.set_xlim(-0.4, len(epochs) - 0.6)
    if label:
        axes.set_xlabel("epoch (checkpoints, evenly spaced)")


def warned_handle(marker: str = "o") -> Artist:
    """The legend's entry for cells with warnings."""
    return Line2D(
        [], [], color=WARNED, marker=marker, markerfacecolor="white", linestyle="none", markersize=5.5,
        label="grey, hollow: cell with a warning",
    )  # fmt: skip
