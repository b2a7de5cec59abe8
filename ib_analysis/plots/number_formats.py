"""What quantization does to the information in each layer, at the last epoch: against bits, and against quality."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ib_analysis.plots.curves import Curve, Quantity, layers_of, rows_of, seeds_in_words, warnings_note
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.style import (
    LIGHT,
    WARNED,
    framed,
    layer_colour,
    layer_marker,
    legend_columns,
    task_title,
    warned_handle,
)

__all__ = ["bits_of", "draw"]

_LABELS: dict[Quantity, str] = {"i_xh": "I(X;H), usable, bits", "i_hy": "I(H;Y), probe, bits"}
_ACCURACY = ("accuracy", 100.0, "accuracy, %")
_QUALITY = {"classification": _ACCURACY, "autoencoding": ("psnr_db", 1.0, "PSNR, dB"), "joint": _ACCURACY}


def bits_of(number_format: str) -> tuple[int, str]:
    """Sort key: formats of many bits first; real numbers before all.

    >>> sorted(["w4a4_ends8", "float32", "w8a8", "bfloat16", "w2a2"], key=bits_of)
    ['float32', 'bfloat16', 'w8a8', 'w4a4_ends8', 'w2a2']
    """
    found = re.search(r"a(\d+)", number_format) or re.search(r"float(\d+)", number_format)
    return (-int(found[1]) if found else 0, number_format)


def draw(saved: SavedExperiment) -> Iterator[tuple[str, Figure]]:
    """One figure: a row per task; I(X;H) and I(H;Y) against number formats, and I(X;H) against the network's quality
    on held-out images; nothing where there is one number format.

    Raises:
        UserError: ``information.csv`` or a ``training.csv`` is missing or damaged.
    """
    last = max(row.epoch for row in saved.information)
    rows = tuple(row for row in saved.information if row.epoch == last)
    formats = sorted(dict.fromkeys(row.number_format for row in rows), key=bits_of)
    if len(formats) < 2:
        return
    tasks, layers = list(dict.fromkeys(row.task for row in rows)), layers_of(rows)
    seeds = seeds_in_words(rows)
    figure, body = framed(
        "Number formats and information",
        f"What each layer tells about the image and about the label after {last} epochs, by the encoder's number "
        "format; on the right against what the network is worth on held-out images (number formats as labels).",
        [
            "I(X;H) is usable information, mean(L0 − L), an estimate and no bound; I(H;Y) a lower bound from a "
            "held-out probe. Bars: 95 % bootstrap intervals over held-out images; they do not cover the randomness of "
            "training, by which formats differ too." + (f" Means over {seeds}." if seeds else ""),
            *warnings_note(rows),
        ],
        body_inches=2.6 * len(tasks) + 0.35,
    )
    grid = body.subplots(len(tasks), 3, squeeze=False)
    for line, task in zip(grid, tasks, strict=True):
        quality = _quality(saved, task, last)
        for axes, quantity in zip(line, ("i_xh", "i_hy", "i_xh"), strict=True):
            against_quality = axes is line[2]
            for index, layer in enumerate(layers):
                found = {name: rows_of(rows, (task, name), layer) for name in formats}
                points = [(name, Curve.of(cells, quantity)) for name, cells in found.items() if cells]  # type: ignore[arg-type]
                if against_quality:
                    points = [(name, curve) for name, curve in points if name in quality]
                    places = [quality[name] for name, _ in points]
                else:
                    places = [formats.index(name) + 0.1 * (index - (len(layers) - 1) / 2) for name, _ in points]
                _draw_layer(axes, places, [curve for _, curve in points], index, joined=not against_quality)
            axes.grid(axis="y", color=LIGHT, linewidth=0.5)
            axes.set_ylabel(_LABELS[quantity])  # type: ignore[index]
            if against_quality:
                _name_quality(axes, task, quality)
            else:
                axes.set_xticks(range(len(formats)), [name.replace("_", "\n") for name in formats])
        line[0].set_title(task_title(task))
    handles: list = [
        Line2D([], [], color=layer_colour(k), marker=layer_marker(k), markersize=5, linewidth=1.0, label=layer)
        for k, layer in enumerate(layers)
    ]
    handles += [warned_handle()] if any(row.warnings for row in rows) else []
    columns = legend_columns([handle.get_label() for handle in handles])
    body.legend(handles=handles, loc="outside lower center", ncols=columns)
    yield "number_formats", figure


def _draw_layer(axes: Axes, places: Sequence[float], curves: Sequence[Curve], index: int, joined: bool) -> None:
    colour = layer_colour(index)
    if joined:
        axes.plot(places, [curve.value[0] for curve in curves], color=colour, linewidth=0.9, zorder=1)
    for place, curve in zip(places, curves, strict=True):
        warned = bool(curve.warned[0])
        value, low, high = curve.value[0], curve.low[0], curve.high[0]
        axes.errorbar(
            [place], [value], yerr=np.maximum([[value - low], [high - value]], 0), fmt=layer_marker(index),
            markersize=5, color=WARNED if warned else colour, markerfacecolor="white" if warned else colour,
            markeredgewidth=1.1, elinewidth=0.9, zorder=3, gid="warned" if warned else "cell",
        )  # fmt: skip


def _quality(saved: SavedExperiment, task: str, epoch: int) -> dict[str, float]:
    """Number format -> accuracy in percent, or PSNR, on held-out images at an epoch, as the mean over encoder seeds."""
    name, scale, _ = _QUALITY.get(task.split("-")[0], ("loss", 1.0, ""))
    found: dict[str, list[float]] = {}
    for run, points in saved.training.items():
        if run.task == task:
            values = [getattr(p, name) for p in points if p.epoch == epoch and p.split != "train"]
            found.setdefault(run.number_format, []).extend(scale * value for value in values if value is not None)
    return {key: float(np.mean(values)) for key, values in found.items() if values}


def _name_quality(axes: Axes, task: str, quality: dict[str, float]) -> None:
    """The axis of quality, with the number formats written where they stand, alternately high and low."""
    axes.set_xlabel(_QUALITY.get(task.split("-")[0], ("", 1.0, "loss"))[2])
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.margins(x=0.18)
    _, top = axes.get_ylim()
    axes.set_ylim(top=top * 1.25)
    for turn, (name, value) in enumerate(sorted(quality.items(), key=lambda item: item[1])):
        axes.axvline(value, color=LIGHT, linewidth=0.7, zorder=0)
        axes.text(
            value, (0.99, 0.93, 0.87)[turn % 3], name.split("_")[0], size=8, ha="center", va="top",
            transform=axes.get_xaxis_transform(), gid="format",
        )  # fmt: skip
