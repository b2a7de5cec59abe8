"""Controls: what each found, against what it was allowed to find; and the data-processing inequality along layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ib_analysis.information.table import read_filled_table
from ib_analysis.plots.style import (
    INK,
    LIGHT,
    MUTED,
    TRUTH,
    WARNED,
    epoch_axis,
    framed,
    layer_colour,
    layer_marker,
    task_title,
    warned_handle,
)
from ib_analysis.studies.controls.row import COMMON_NULL, LOWER_BOUND, ControlRow

__all__ = ["draw"]

OWN, COMMON, BOUND, BEFORE = (layer_colour(index) for index in (0, 1, 2, 4))
_NAMES = {"shuffled": "shuffled pairs", "constant": "constant h", "permuted_labels": "permuted labels"}
_NOTHING = tuple(_NAMES)


def _judged_by(rows: Sequence[ControlRow]) -> str:
    """Against which null what must find nothing is judged, and what the other one shows."""
    if any(row.quantity == COMMON_NULL and row.passed != "shown" for row in rows):
        return (
            "Readers are judged against the common L0; against their own null, which is the base, comes on top what "
            "the base leaves in an image's earlier pixels."
        )
    return (
        "Against its own null a decoder is judged; against the common L0 the difference of two decoders' nulls comes "
        "on top."
    )


def draw(table: Path) -> Iterator[tuple[str, Figure]]:
    """One figure: controls that must find nothing, layers of known capacity, ceilings, and pairs of layers.

    Arguments:
        table: ``controls.csv``.

    Raises:
        UserError: it is missing, damaged or empty.
    """
    rows = read_filled_table(table, ControlRow, "ib controls")
    pairs = [row for row in rows if row.control == "data_processing"]
    violations = sum(row.passed == "violation" for row in pairs)
    judged = [row for row in rows if row.passed in ("yes", "no") and row.control != "data_processing"]
    kept = sum(row.passed == "yes" for row in judged)
    single = next((row for row in rows if row.control != "data_processing"), rows[0])  # those pairs are of all runs
    figure, body = framed(
        "Controls",
        f"Where it is known what must be found, is it found? Decoders and probes of their own beside experiment "
        f"'{single.experiment}' ({task_title(single.task).lower()}, encoder seed {single.encoder_seed}); "
        f"{kept} of {len(judged)} rules kept.",
        [
            "Whiskers: 95 % bootstrap intervals over the evaluation images. Shaded: what is allowed; a black cross "
            f"marks what is not. {_judged_by(rows)}",
            f"Pairs of layers: bits lost from one layer to the next, {violations} of {len(pairs)} below zero beyond "
            "chance: mean(L later − L earlier), upper ends of whiskers for all pairs at once. Shannon's information "
            "cannot rise from layer to layer, usable information can: a cross there is a finding, not a failure.",
        ],
        body_inches=7.3,
    )  # fmt: skip
    top, bottom = body.subfigures(2, 1, height_ratios=(5.1, 2.2), squeeze=False)[:, 0]
    axes = top.subplot_mosaic(
        [["nothing", "capacity"], ["nothing", "ceiling"], ["nothing", "labels"]], height_ratios=(1.1, 1.1, 0.8)
    )
    _draw_nothing(axes["nothing"], [row for row in rows if row.control in _NOTHING])
    _draw_capacity(axes["capacity"], [row for row in rows if row.control == "bottleneck"])
    ends = [row for row in rows if row.control in ("untrained", "image")]
    _draw_ends(axes["ceiling"], ends, "I(X;H)")
    _draw_ends(axes["labels"], ends, "I(H;Y)")
    _legend(top, rows)
    _draw_pairs(bottom, pairs)
    yield "controls", figure


def _point(axes: Axes, x: float, y: float, row: ControlRow, colour: str, marker: str, across: bool) -> None:
    """An estimate with its whisker, along x (``across``) or along y; crossed where it is not allowed."""
    warned = bool(row.warnings)
    whiskers = [[max(row.bits - row.low, 0)], [max(row.high - row.bits, 0)]]
    if not np.isfinite(whiskers).all():
        whiskers = [[0], [0]]
    axes.errorbar(
        x, y, xerr=whiskers if across else None, yerr=None if across else whiskers, fmt=marker, markersize=4.5,
        color=WARNED if warned else colour,
        markerfacecolor="white" if warned else colour, markeredgecolor=colour if warned else "white",
        markeredgewidth=1.0 if warned else 0.5, ecolor=to_rgba(colour, 0.7), elinewidth=0.9, zorder=3,
        gid="warned" if warned else "control",
    )  # fmt: skip
    if row.passed in ("no", "violation"):
        axes.plot(x, y, marker="x", color=INK, markersize=8, markeredgewidth=1.4, zorder=4, gid=row.passed)


def _absent(axes: Axes, what: str) -> None:
    axes.text(0.5, 0.5, f"{what}: not run", transform=axes.transAxes, ha="center", va="center", color=MUTED)
    axes.set_xticks([])
    axes.set_yticks([])


# ---------------------------------------------------------------------------------------------- nothing to be found


def _draw_nothing(axes: Axes, rows: Sequence[ControlRow]) -> None:
    axes.set_title("Nothing to be found")
    if not rows:
        _absent(axes, "these controls")
        return
    place, ticks, labels = 0.0, [], []
    spans: list[tuple[float, ControlRow]] = []
    for control in _NOTHING:
        mine = [row for row in rows if row.control == control]
        if not mine:
            continue
        axes.text(
            0.0, place, _NAMES[control] + (", I(H;Y)" if control == "permuted_labels" else ", I(X;H)"),
            transform=axes.get_yaxis_transform(), va="center", weight="bold", size=8, zorder=2,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )  # fmt: skip
        for layer in dict.fromkeys(row.layer for row in mine):
            place += 1
            ticks.append(place)
            labels.append(layer)
            for row in (row for row in mine if row.layer == layer):
                common = row.quantity == COMMON_NULL
                shift = 0.18 if common else -0.18 if control != "permuted_labels" else 0.0
                _point(
                    axes, row.bits, place + shift, row, COMMON if common else OWN, "s" if common else "o", across=True
                )
                if row.passed != "shown":
                    spans.append((place, row))
        place += 1.4
    ends = [value for row in rows for value in (row.low, row.high) if np.isfinite(value)]
    low, high = min([-1.0, *ends]), max([1.0, *ends])
    room = 0.06 * (high - low)
    axes.set_xlim(low - room, high + room)
    for height, row in spans:
        start = low - room if row.allowed_low is None else row.allowed_low
        end = high + room if row.allowed_high is None else row.allowed_high
        axes.barh(height, end - start, 0.8, start, color=LIGHT, linewidth=0, zorder=0, gid="allowed")
    axes.axvline(0, color=TRUTH, linewidth=0.9, zorder=1)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_yticks(ticks, labels)
    axes.set_ylim(place - 0.7, -0.7)
    axes.set_xlabel("information found, bits")


# ---------------------------------------------------------------------------------------------- ceilings


def _draw_capacity(axes: Axes, rows: Sequence[ControlRow]) -> None:
    axes.set_title("Layers of n binary units")
    if not rows:
        _absent(axes, "bottleneck")
        return
    layers = list(dict.fromkeys(row.layer for row in rows))
    bottom = min([0.0, *(row.low for row in rows if np.isfinite(row.low))])
    for place, layer in enumerate(layers):
        mine = [row for row in rows if row.layer == layer]
        capacity = mine[0].allowed_high or 0.0
        axes.bar(place, capacity - bottom, 0.7, bottom, color=LIGHT, linewidth=0, zorder=0, gid="allowed")
        axes.hlines(capacity, place - 0.35, place + 0.35, color=TRUTH, linewidth=1.2, zorder=2)
        for row in mine:
            if row.quantity == LOWER_BOUND:
                _point(axes, place - 0.12, row.bits, row, BOUND, "^", across=False)
            elif row.quantity == COMMON_NULL:
                _point(axes, place + 0.12, row.bits, row, COMMON, "s", across=False)
            else:
                axes.hlines(row.bits, place - 0.35, place + 0.35, color=OWN, linestyle=":", linewidth=1.2, zorder=2)
    axes.set_xticks(range(len(layers)), [f"{_capacity(rows, layer):g}" for layer in layers])
    axes.set_xlabel("units n; line: capacity n bits; dots: H(H) counted")
    axes.set_ylabel("I(X;H), bits")
    axes.use_sticky_edges = False  # else bars end at the frame, and markers at their feet are cut
    axes.margins(y=0.08)


def _capacity(rows: Sequence[ControlRow], layer: str) -> float:
    """Capacity in bits of a layer, as its rows tell."""
    return next(row.allowed_high for row in rows if row.layer == layer and row.allowed_high is not None)


def _draw_ends(axes: Axes, rows: Sequence[ControlRow], quantity: str) -> None:
    """A quantity of every layer, untrained and trained, and of the image itself, against its ceilings."""
    about = [row for row in rows if row.quantity.startswith(quantity) and not row.quantity.endswith("- untrained")]
    bounds = [row for row in rows if row.quantity == LOWER_BOUND and quantity == "I(X;H)"]
    axes.set_title(
        "Ceiling, and the untrained network" if quantity == "I(X;H)" else "Labels, and the untrained network"
    )
    if not about:
        _absent(axes, "image, untrained" if quantity == "I(X;H)" else "untrained")
        return
    layers = list(dict.fromkeys(row.layer for row in about))
    for row in [*about, *bounds]:
        height = layers.index(row.layer)
        if row.quantity == LOWER_BOUND:
            _point(axes, row.bits, height + 0.15, row, BOUND, "^", across=True)
        elif row.quantity.endswith("untrained"):
            _point(axes, row.bits, height + 0.15, row, BEFORE, "D", across=True)
        else:
            colour, marker = (COMMON, "s") if quantity == "I(X;H)" else (OWN, "o")
            _point(axes, row.bits, height - 0.15, row, colour, marker, across=True)
    if quantity == "I(X;H)":
        ceiling, truth = about[0].null_code_length_bits, about[0].h_x_bits
        axes.axvline(ceiling, color=TRUTH, linewidth=0.9, linestyle=":", zorder=1, gid="ceiling")
        if truth is not None:
            axes.axvline(truth, color=TRUTH, linewidth=1.1, linestyle=(0, (5, 3)), zorder=1, gid="truth")
        text = f"dotted: L0 = {ceiling:.2f}" + ("" if truth is None else f"; dashed: H(X) = {truth:.2f}")
        axes.set_xlabel(f"I(X;H), bits\n{text}")
    else:
        axes.set_xlabel("I(H;Y), bits")
    low = min([0.0, *(row.low for row in about if np.isfinite(row.low))])
    axes.set_xlim(left=low - 0.02 * abs(axes.get_xlim()[1]))
    axes.set_yticks(range(len(layers)), ["h = x" if layer == "image" else layer for layer in layers])
    axes.set_ylim(len(layers) - 0.5, -0.5)


# ---------------------------------------------------------------------------------------------- pairs of layers


def _draw_pairs(body: SubFigure, rows: Sequence[ControlRow]) -> None:
    if not rows:
        _absent(body.subplots(), "data-processing inequality")
        return
    tasks = list(dict.fromkeys(row.task for row in rows))
    pairs = list(dict.fromkeys(row.layer for row in rows))
    seeds = list(dict.fromkeys((row.encoder_seed, row.decoder_seed) for row in rows))
    epochs = sorted({row.epoch for row in rows})
    panels = body.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    slots = len(pairs) * len(seeds)
    for axes, task in zip(panels, tasks, strict=True):
        mine = [row for row in rows if row.task == task]
        for row in mine:
            slot = pairs.index(row.layer) * len(seeds) + seeds.index((row.encoder_seed, row.decoder_seed))
            x = epochs.index(row.epoch) + 0.7 * ((slot + 0.5) / slots - 0.5)
            index = pairs.index(row.layer)
            _point(axes, x, row.bits, row, layer_colour(index), layer_marker(index), across=False)
        axes.axhline(0, color=TRUTH, linewidth=0.9, zorder=1)
        axes.set_title(f"Bits lost between layers: {task_title(task).lower()}")
        epoch_axis(axes, epochs)
    for axes in panels:
        low, high = axes.get_ylim()
        axes.axhspan(0, max(high, 0.1), color=LIGHT, linewidth=0, zorder=0, gid="allowed")
        axes.set_ylim(low, high)
    panels[0].set_ylabel("bits lost")
    handles: list[Artist] = [
        Line2D([], [], color=layer_colour(k), marker=layer_marker(k), markersize=5, linestyle="none", label=pair)
        for k, pair in enumerate(pairs)
    ]
    if any(row.passed == "violation" for row in rows):
        handles.append(
            Line2D([], [], color=INK, marker="x", markersize=7, linestyle="none", label="below 0 beyond chance")
        )
    body.legend(handles=handles, loc="outside lower center", ncols=len(handles), handletextpad=0.4)


def _legend(body: SubFigure, rows: Sequence[ControlRow]) -> None:
    def dot(colour: str, marker: str, label: str) -> Line2D:
        return Line2D([], [], color=colour, marker=marker, markersize=5.5, linestyle="none", label=label)

    handles: list[Artist] = [
        dot(OWN, "o", "against the own null; I(H;Y)"),
        dot(COMMON, "s", "mean(L0 − L), common L0"),
        dot(BOUND, "^", "H(X) − mean(L)"),
        dot(BEFORE, "D", "untrained network"),
        Patch(color=LIGHT, label="allowed"),
    ]
    if any(row.passed == "no" for row in rows):
        handles.append(dot(INK, "x", "not allowed"))
    if any(row.warnings for row in rows):
        handles.append(warned_handle())
    body.legend(handles=handles, loc="outside lower center", ncols=3, handletextpad=0.4, columnspacing=1.4)
