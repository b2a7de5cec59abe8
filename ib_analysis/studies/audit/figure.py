"""Shared decoders against decoders of single cells: gaps in code length, and information reported in two ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from ib_analysis.artifacts import UserError
from ib_analysis.information.intervals import Interval
from ib_analysis.information.table import read_filled_table, read_table
from ib_analysis.information.warnings import split_warnings
from ib_analysis.plots.style import (
    INK,
    LIGHT,
    TRUTH,
    WARNED,
    framed,
    layer_colour,
    layer_marker,
    task_title,
)
from ib_analysis.studies.audit.hysteresis import HysteresisRow
from ib_analysis.studies.audit.rows import ALL, NO_REMEDY, AuditRow

__all__ = ["draw"]

COMMON, OWN = layer_colour(0), layer_colour(1)
"""Information against the common L0, and against a decoder's own null condition."""

_TASKS = {"classification": "class.", "autoencoding": "autoenc."}


def draw(table: Path, hysteresis: Path | None) -> Iterator[tuple[str, Figure]]:
    """One figure: gaps of all cells and multiples; information against both nulls; remedies and sweeps, where made.

    Arguments:
        table: ``audit.csv``.
        hysteresis: ``hysteresis.csv``, or None.

    Raises:
        UserError: a table is missing, damaged or empty.
    """
    rows = read_filled_table(table, AuditRow, "ib audit")
    own = [row for row in rows if row.remedy == NO_REMEDY]
    if not own:
        raise UserError(f"{table} has no rows; delete it and run `ib audit` again.")
    sweeps: list[HysteresisRow] = read_table(hysteresis, HysteresisRow) if hysteresis is not None else []
    multiples = sorted({row.multiple for row in own})
    attempts = [row for row in rows if row.layer == ALL and row.multiple == multiples[-1]]
    heights = [2.9, 2.4, *([0.55 + 0.26 * len(attempts)] if len(attempts) > 1 else [])]
    shared = next(row for row in own if row.layer == ALL)
    figure, body = framed(
        "One decoder for many cells against one for each",
        f"Dedicated decoders of {shared.n_cells} sampled cells, fitted at "
        f"{_listed([f'{multiple}' for multiple in multiples])} times the shared decoder's cost per cell "
        f"({shared.shared_images:,.0f} training images, {shared.shared_flops:.2g} FLOPs).",
        _notes(own, sweeps),
        body_inches=sum(heights),
    )
    parts = body.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    _draw_gaps(parts[0].subplots(), own, multiples)
    _gap_legend(parts[0], multiples, any(row.warnings for row in own))
    line = parts[1].subplots(1, 2 if sweeps else 1, squeeze=False)[0]
    _draw_reported(line[0], [row for row in own if row.layer == ALL])
    if sweeps:
        _draw_sweeps(line[1], sweeps)
    if len(attempts) > 1:
        _draw_remedies(parts[2].subplots(), attempts)
    yield "audit", figure


# ---------------------------------------------------------------------------------------------- gaps


def _draw_gaps(axes: Axes, rows: Sequence[AuditRow], multiples: Sequence[int]) -> None:
    places = list(dict.fromkeys(_key(row) for row in rows if row.layer != ALL))
    places.sort(key=lambda key: (key[0], key[1], key[2] or 0, *key[3:]))
    several = len({key[3:] for key in places}) > 1
    labels = [_label(key, several) for key in places]
    beside = np.linspace(-0.24, 0.24, len(multiples)) if len(multiples) > 1 else np.zeros(1)
    for row in rows:
        index = multiples.index(row.multiple)
        together = row.layer == ALL
        x = (len(places) + 0.5 if together else places.index(_key(row))) + beside[index]
        _dot(
            axes,
            x,
            row.gap,
            layer_colour(index),
            layer_marker(index),
            bool(row.warnings),
            size=6.5 if together else 4.5,
        )
    axes.axvline(len(places) - 0.25, color=LIGHT, linewidth=0.8)
    axes.axhline(0, color=TRUTH, linewidth=0.9, zorder=1)
    axes.set_xticks([*range(len(places)), len(places) + 0.5], [*labels, "mean of\nall cells"])
    axes.set_xlim(-0.6, len(places) + 1.1)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y", color=LIGHT, linewidth=0.5)
    axes.set_title("Gap in code length (above 0: the shared decoder's code is shorter)")
    axes.set_ylabel("L dedicated − L shared, bits")


Key = tuple[str, str, int | None, int | None, int | None]


def _key(row: AuditRow) -> Key:
    return row.task, row.layer, row.epoch, row.encoder_seed, row.decoder_seed


def _label(key: Key, several: bool) -> str:
    task, layer, epoch, encoder_seed, decoder_seed = key
    lines = [_TASKS.get(task, task), f"{layer}", f"ep. {epoch}"]
    if several:
        lines.append(f"{encoder_seed}/{decoder_seed}")
    return "\n".join(lines)


def _dot(
    axes: Axes, x: float, found: Interval, colour: str, marker: str, warned: bool = False, size: float = 5.0
) -> None:
    """A value with its interval; grey and hollow if it comes with a warning."""
    whiskers = [[max(found.estimate - found.low, 0)], [max(found.high - found.estimate, 0)]]
    axes.errorbar(
        [x], [found.estimate], yerr=whiskers, fmt=marker, markersize=size, color=WARNED if warned else colour,
        markerfacecolor="white" if warned else colour, markeredgecolor=colour, markeredgewidth=1.0,
        elinewidth=1.0, capsize=2, zorder=3, gid="warned" if warned else "value",
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------- below


def _draw_reported(axes: Axes, together: Sequence[AuditRow]) -> None:
    """Information of the shared decoder and of every multiple, against the common L0 and against their own nulls, which
    readers do not have."""
    first = together[0]
    columns = [
        ("shared", _of(first, "shared_i_xh_bits"), _of(first, "shared_own_null_i_xh_bits")),
        *((f"{row.multiple}×", _of(row, "i_xh_bits"), _of(row, "own_null_i_xh_bits")) for row in together),
    ]
    for x, (_, common, own) in enumerate(columns):
        assert common is not None
        _dot(axes, x - 0.13, common, COMMON, "o")
        if own is not None:
            _dot(axes, x + 0.13, own, OWN, "s")
    axes.set_xticks(range(len(columns)), [name for name, _, _ in columns])
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.margins(y=0.12)
    axes.grid(axis="y", color=LIGHT, linewidth=0.5)
    two_ways = any(own is not None for _, _, own in columns)
    axes.set_title("Mean information" + (", reported in two ways" if two_ways else ""))
    axes.set_xlabel("decoder: shared, or dedicated at this cost")
    axes.set_ylabel("I(X;H), bits")
    handles = [
        Line2D([], [], color=COMMON, marker="o", linestyle="none", markersize=5, label="against the common L0"),
        Line2D([], [], color=OWN, marker="s", linestyle="none", markersize=5, label="against its own null"),
    ]
    axes.legend(handles=handles if two_ways else handles[:1], loc="upper center", bbox_to_anchor=(0.5, -0.24), ncols=2)


def _of(row: AuditRow, name: str) -> Interval | None:
    estimate, low, high = (getattr(row, f"{name}{end}") for end in ("", "_low", "_high"))
    return None if estimate is None else Interval(estimate, low, high)


def _draw_remedies(axes: Axes, together: Sequence[AuditRow]) -> None:
    """Gap to the longest dedicated fits of the experiment's own shared fit and of every attempt at a better one."""
    ordered = sorted(together, key=lambda row: row.gap_bits)
    for y, row in enumerate(ordered):
        own = row.remedy == NO_REMEDY
        axes.errorbar(
            [row.gap_bits], [y], xerr=[[row.gap_bits - row.gap_bits_low], [row.gap_bits_high - row.gap_bits]],
            fmt="D" if own else "o", markersize=5, color=INK if own else COMMON, elinewidth=1.0, capsize=2, zorder=3,
        )  # fmt: skip
    cheapest = min(row.shared_flops for row in ordered if row.remedy == NO_REMEDY)
    labels = [
        f"{'as it is' if row.remedy == NO_REMEDY else row.remedy.replace('_', ' ')} "
        f"({row.shared_flops / cheapest:.1f}×)"
        for row in ordered
    ]
    axes.set_yticks(range(len(ordered)), labels)
    axes.axvline(0, color=TRUTH, linewidth=0.9, zorder=1)
    axes.set_ylim(-0.6, len(ordered) - 0.4)
    axes.grid(axis="x", color=LIGHT, linewidth=0.5)
    axes.set_title("Attempts at a better shared fit (FLOPs per cell, relative)")
    axes.set_xlabel(
        f"L of dedicated fits at {together[0].multiple}× − L shared, bits (above 0: the shared code is shorter)"
    )


def _draw_sweeps(axes: Axes, rows: Sequence[HysteresisRow]) -> None:
    epochs = sorted({row.epoch for row in rows if row.epoch is not None})
    tasks = list(dict.fromkeys(row.task for row in rows))
    for index, task in enumerate(tasks):
        beside = 0.2 * (index - (len(tasks) - 1) / 2)
        for row in rows:
            if row.task == task:
                found = Interval(row.difference_bits, row.difference_bits_low, row.difference_bits_high)
                x = (len(epochs) if row.epoch is None else epochs.index(row.epoch)) + beside
                _dot(axes, x, found, layer_colour(index + 2), layer_marker(index + 2), bool(row.warnings))
    axes.axhline(0, color=TRUTH, linewidth=0.9, zorder=1)
    axes.axvline(len(epochs) - 0.5, color=LIGHT, linewidth=0.8)
    axes.grid(axis="y", color=LIGHT, linewidth=0.5)
    axes.set_xticks(range(len(epochs) + 1), [*map(str, epochs), "mean"])
    axes.set_xlim(-0.5, len(epochs) + 0.5)
    axes.set_xlabel("epoch")
    axes.set_title(f"Warm starts from epoch to epoch, {rows[0].layer}")
    axes.set_ylabel("L forward − L backward, bits")
    handles = [
        Line2D([], [], color=layer_colour(index + 2), marker=layer_marker(index + 2), linestyle="none", markersize=5,
               label=task_title(task))
        for index, task in enumerate(tasks)
    ]  # fmt: skip
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.24), ncols=2)


def _notes(rows: Sequence[AuditRow], sweeps: Sequence[HysteresisRow]) -> list[str]:
    notes = [
        "L: code length of an image given the layer. 95 % bootstrap intervals over the evaluation images, paired; the "
        "mean resamples all cells with the same images. Information is L0 − L: with the L0 of one common unconditional "
        "model"
        + (
            ", or of each decoder's own null condition. A decoder with a poor null of its own reports more information "
            "than it has found: only the common L0 makes decoders comparable."
            if any(row.own_null_i_xh_bits is not None for row in rows)
            else ", the base that all readers stand on."
        ),
    ]
    warned = {name for row in rows for name in split_warnings(row.warnings)}
    if warned:
        notes.append(
            f"Grey, hollow: a dedicated fit came with a warning ({', '.join(sorted(warned)).replace('_', ' ')}). The "
            "comparison is one of equal costs and holds for such fits too."
        )
    if sweeps:
        notes.append(
            "Warm starts: each epoch's decoder goes on from that of the epoch before (forward) or after it (backward), "
            "the first from the shared decoder; the intervals hold for all epochs of a task at once. Forward has been "
            "fitted for longer at late epochs, backward at early ones; in the mean both as long."
        )
    return notes


def _gap_legend(part: SubFigure, multiples: Sequence[int], warned: bool) -> None:
    handles = [
        Line2D([], [], color=layer_colour(index), marker=layer_marker(index), linestyle="none", markersize=5,
               label=f"dedicated, {multiple}× the cost")
        for index, multiple in enumerate(multiples)
    ]  # fmt: skip
    if warned:
        handles.append(
            Line2D([], [], color=WARNED, marker="o", markerfacecolor="white", linestyle="none", markersize=5,
                   label="with a warning")
        )  # fmt: skip
    part.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def _listed(words: Sequence[str]) -> str:
    """
    >>> _listed(["1", "5", "10"])
    '1, 5 and 10'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
