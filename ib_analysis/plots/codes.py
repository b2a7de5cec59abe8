"""Taps of quantized networks: cells that are real numbers still, and what a reader has to know about the codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from ib_analysis.information.table import InformationRow, quantized_from
from ib_analysis.plots.curves import Panel, layers_of, panels_of
from ib_analysis.plots.style import INK, task_name

__all__ = ["FLOATING_POINT", "codes_notes", "draw_real_yet", "real_yet", "real_yet_handle"]

FLOATING_POINT = ("float32", "bfloat16")


def real_yet(rows: Sequence[InformationRow], panel: Panel) -> set[int]:
    """Epochs at which a panel's network computes with real activations still, and at later ones with codes."""
    own = [row for row in rows if (row.task, row.number_format) == panel]
    start = quantized_from(own)
    return {row.epoch for row in own if row.epoch < start}


def draw_real_yet(axes: Axes, epochs: Sequence[int], x: ArrayLike, y: ArrayLike, real: set[int]) -> None:
    """Cross out the points of a curve that `real_yet` names; nothing where there are none.

    Arguments:
        epochs, x, y: of all points of the curve.
    """
    at = [index for index, epoch in enumerate(epochs) if epoch in real]
    if at:
        axes.plot(
            np.asarray(x)[at], np.asarray(y)[at], marker="x", markersize=8.5, markeredgewidth=0.9, color=INK,
            linestyle="none", zorder=2.5, gid="real_yet",
        )  # fmt: skip


def real_yet_handle() -> Artist:
    """The legend's entry for such points."""
    return Line2D(
        [], [], color=INK, marker="x", markersize=6.5, markeredgewidth=0.9, linestyle="none",
        label="crossed: not yet quantized",
    )  # fmt: skip


def codes_notes(rows: Sequence[InformationRow]) -> list[str]:
    """What is crossed, and a sentence per number format: where codes are no bottleneck, and what is never made of
    codes. Nothing where no cell is made of codes."""
    if all(row.code_bits is None for row in rows):
        return []
    notes = []
    if any(real_yet(rows, panel) for panel in panels_of(rows)):
        notes.append(
            "Crossed: the checkpoint lies before the training step at which the quantization of activations begins: "
            "the network computes with real numbers there and with codes later, so that a change between the two is "
            "not learning alone. Peaks are sought after it."
        )
    formats: dict[str, list[str]] = {}
    for number_format in dict.fromkeys(row.number_format for row in rows):
        if number_format not in FLOATING_POINT:
            told = _of_format([row for row in rows if row.number_format == number_format])
            formats.setdefault(told, []).append(number_format)
    return [*notes, *(f"{' and '.join(names)}: {told}." for told, names in formats.items())]


def _of_format(rows: Sequence[InformationRow]) -> str:
    """What is to be said about the codes of one number format, task by task."""
    tasks: dict[str, list[str]] = {}
    for panel in panels_of(rows):
        tasks.setdefault(_of_panel([row for row in rows if row.task == panel[0]]), []).append(task_name(panel[0]))
    return "; ".join(f"in {' and '.join(names).lower()} {told}" for told, names in tasks.items())


def _of_panel(rows: Sequence[InformationRow]) -> str:
    layers = {layer: [row for row in rows if row.layer == layer] for layer in layers_of(rows)}
    beside = [layer for layer, found in layers.items() if any(row.code_is_bottleneck == 0 for row in found)]
    real = [layer for layer, found in layers.items() if all(row.code_bits is None for row in found)]
    parts = []
    if beside:
        parts.append(f"the codes of {_listed(beside)} are no bottleneck (real numbers pass beside them on a shortcut)")
    if real:
        parts.append(f"{_listed(real)} {'are' if len(real) > 1 else 'is'} made of real numbers at all epochs")
    return ", and ".join(parts) or "codes are all that goes on from every layer"


def _listed(names: Sequence[str]) -> str:
    """
    >>> _listed(["h1", "h2", "h3"])
    'h1, h2 and h3'
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
