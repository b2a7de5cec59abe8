"""Loss and quality (accuracy, PSNR or both) of every encoder against the epoch, in training and held out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ib_analysis.plots.curves import panels_of
from ib_analysis.plots.saved import SavedExperiment, TrainingPoint
from ib_analysis.plots.style import MUTED, framed, layer_colour, task_title

__all__ = ["draw"]

_QUALITIES = {
    "loss": "loss",
    "accuracy": "accuracy, %",
    "psnr_db": "PSNR, dB",
}


def draw(saved: SavedExperiment) -> Iterator[tuple[str, Figure]]:
    """One figure: a row per task, loss on the left, then accuracy or PSNR, or both where networks do both.

    Raises:
        UserError: there is no ``encoders/<run>/training.csv``, or one is damaged.
    """
    training = saved.training
    order = sorted(training, key=lambda run: (run.task != "classification", run))
    panels = panels_of(order)
    seeds = len({run.encoder_seed for run in order})
    figure, body = framed(
        "Training curves",
        "How the encoders learned: loss (left) and quality (beside it) after every epoch, on the images they are "
        "trained on and on held-out images.",
        [
            "Triangles on the time axis: epochs whose checkpoints are measured."
            + (f" Each of the {seeds} encoder seeds has a line of its own." if seeds > 1 else "")
        ],
        body_inches=2.1 * len(panels) + 0.3,
    )
    of_panel = {
        panel: [point for run in order if (run.task, run.number_format) == panel for point in training[run]]
        for panel in panels
    }
    qualities = {panel: [q for q in ("accuracy", "psnr_db") if _has(points, q)] for panel, points in of_panel.items()}
    grid = body.subplots(len(panels), max(2, 1 + max(map(len, qualities.values()))), squeeze=False)
    splits = list(dict.fromkeys(point.split for run in order for point in training[run]))
    splits.sort(key=lambda split: split != "train")
    for line, panel in zip(grid, panels, strict=True):
        runs = [run for run in order if (run.task, run.number_format) == panel]
        names = ["loss", *qualities[panel]]
        for axes in line[len(names) :]:
            axes.remove()
        for axes, name in zip(line, names, strict=False):
            for run in runs:
                _draw_run(axes, training[run], name, splits, thin=len(runs) > 1)
            _mark_checkpoints(axes, {epoch for run in runs for epoch in saved.checkpoints(run)})
            axes.set_title(f"{task_title(*panel)}: {name.removesuffix('_db').replace('psnr', 'PSNR')}")
            axes.set_ylabel(_QUALITIES[name])
            axes.set_xlabel("epoch")
            axes.margins(x=0.02)
            axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    handles = [_line(index, split) for index, split in enumerate(splits)]
    handles.append(Line2D([], [], color=MUTED, marker="^", linestyle="none", markersize=4.5, label="checkpoint"))
    body.legend(handles=handles, loc="outside lower center", ncols=4)
    yield "training_curves", figure


_LINES: tuple[Any, Any] = ("-", (0, (4, 1.5)))


def _line(index: int, split: str) -> Line2D:
    """The legend's entry for a split."""
    label = "training images" if split == "train" else "held-out images"
    return Line2D([], [], color=layer_colour(index), linestyle=_LINES[index % 2], label=label)


def _has(points: list[TrainingPoint], name: str) -> bool:
    return any(getattr(point, name) is not None for point in points)


def _draw_run(axes: Axes, points: tuple[TrainingPoint, ...], name: str, splits: list[str], thin: bool) -> None:
    for index, split in enumerate(splits):
        chosen = [point for point in points if point.split == split and getattr(point, name) is not None]
        scale = 100 if name == "accuracy" else 1
        axes.plot(
            [point.epoch for point in chosen], [scale * getattr(point, name) for point in chosen],
            color=layer_colour(index), linestyle=_LINES[index % 2], linewidth=0.9 if thin else 1.4,
            alpha=0.8 if thin else 1.0, gid=split,
        )  # fmt: skip


def _mark_checkpoints(axes: Axes, epochs: set[int]) -> None:
    """Small triangles that stand on the epoch axis."""
    axes.plot(
        sorted(epochs), [0.0] * len(epochs), marker="^", markersize=4.5, color=MUTED, linestyle="none", clip_on=False,
        transform=axes.get_xaxis_transform(), zorder=6, gid="checkpoints",
    )  # fmt: skip
