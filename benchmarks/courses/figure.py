"""The figure of `readers.py`: I(X;H) against time, a panel per layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from courses.course import KINDS, Pair
from ib_analysis.artifacts import write_atomically
from ib_analysis.plots.style import drawing_style, framed, layer_colour, layer_marker


def picture(pairs: Sequence[Pair], name: str) -> Figure:
    """I(X;H) against time, a panel per layer."""
    columns = min(2, len(pairs))
    rows = -(-len(pairs) // columns)
    figure, body = framed(
        "What a decoder finds, and when",
        f"{name}: I(X;H), mean over the epochs of a layer, on validation images, against the CPU time of the training "
        "steps on one thread.",
        [
            "L0 is the base's for both. Dotted: the best that the gated decoder found. A code longer than L0 by more "
            "than a quarter of a panel's height lies below it. The time of the base's fit and of its features, which "
            "serve all layers, is not in the reader's."
        ],
        body_inches=2.3 * rows + 0.3,
    )
    panels = body.subplots(rows, columns, squeeze=False, sharex=True).flat
    for pair, axes in zip(pairs, panels, strict=False):
        for index, (label, course) in enumerate((("gated PixelCNN++", pair.gated), ("deep reader", pair.deep))):
            axes.plot(
                course.seconds, [pair.information(bits) for bits in course.bits], color=layer_colour(index),
                marker=layer_marker(index), markersize=3, linewidth=1.4, label=label, gid=KINDS[index],
            )  # fmt: skip
        axes.axhline(pair.information(pair.target[0]), color=layer_colour(0), linestyle=":", linewidth=1.0)
        top = max(pair.information(min(course.bits)) for course in (pair.gated, pair.deep))
        if top > 0:
            axes.set_ylim(max(axes.get_ylim()[0], -top / 3), 1.06 * top)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))  # no powers of ten as formulas
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(labelbottom=True)
        axes.set_title(pair.layer)
        axes.set_xlabel("CPU time of training, s")
        axes.set_ylabel("I(X;H), bits")
    for axes in list(panels):
        axes.remove()
    handles, labels = body.axes[0].get_legend_handles_labels()
    body.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def draw(path: Path, pairs: Sequence[Pair], name: str) -> None:
    with drawing_style(), write_atomically(path) as file:
        picture(pairs, name).savefig(file, format=path.suffix[1:], dpi=200)
