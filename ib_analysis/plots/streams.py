"""Residual against transient stream: what each tells about the image and about the label, by block and epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ib_analysis.information.stream_verdict import ALL_BLOCKS, StreamVerdictRow
from ib_analysis.information.streams_table import StreamRow, last_rows
from ib_analysis.information.table import InformationRow, read_table
from ib_analysis.plots.curves import (
    Curve,
    Panel,
    Quantity,
    change_note,
    draw_curve,
    drawn_range,
    epochs_of,
    panels_of,
    rows_of,
    seeds_note,
    warnings_note,
)
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.style import LIGHT, TRUTH, epoch_axis, framed, task_title, warned_handle

__all__ = ["draw"]

RESIDUAL, TRANSIENT = ("#0072B2", "o"), ("#D55E00", "s")
"""Colours of Okabe & Ito, and markers."""
_LABELS: dict[Quantity, str] = {"i_xh": "I(X;·), usable, bits", "i_hy": "I(·;Y), probe, bits"}
_MOST_EPOCHS = 5


def draw(saved: SavedExperiment) -> Iterator[tuple[str, Figure]]:
    """One figure: a column per block; for each task I(X;r) and I(X;t), and below them I(r;Y) and I(t;Y), by epoch.

    The findings at the last epoch, paired differences with intervals, stand below. Nothing where the table has no rows.

    Raises:
        UserError: ``streams.csv``, ``information.csv`` or ``data.json`` is missing or damaged.
    """
    rows = read_table(saved.folder / "streams.csv", StreamRow)
    if not rows:
        return
    blocks = {row.block: (row.residual_layer, row.transient_layer) for row in rows}
    taps = [tap for pair in blocks.values() for tap in pair]
    cells = tuple(row for row in saved.information if row.layer in taps)
    panels, epochs = panels_of(rows), epochs_of(cells)
    figure, body = framed(
        "Residual and transient stream",
        "What the two streams of each block tell about the image and about the label while the network learns; "
        f"images: {saved.data.name}. Bands: 95 % bootstrap intervals over held-out images.",
        [
            *_verdicts(saved),
            *(_sentence(row) for row in last_rows(rows)),
            *_meaning(rows),
            *seeds_note(cells, "hair lines", "bands"),
            *change_note(cells),
            *warnings_note(cells),
        ],
        body_inches=3.6 * len(panels) + 0.35,
    )
    grid = body.subplots(2 * len(panels), len(blocks), squeeze=False, sharex=True)
    quantities: tuple[Quantity, Quantity] = ("i_xh", "i_hy")
    for place, panel in enumerate(panels):
        for line, quantity in zip(grid[2 * place : 2 * place + 2], quantities, strict=True):
            _draw_line(line, cells, panel, quantity, blocks, epochs)
            if quantity == "i_hy":
                for axes in line:
                    axes.axhline(saved.data.h_y_bits, color=TRUTH, linestyle="--", linewidth=0.8, zorder=0, gid="h_y")
        for axes, block in zip(grid[2 * place], blocks, strict=True):
            axes.set_title(f"{task_title(*panel)}, {block}" if axes is grid[2 * place][0] else block)
    for axes in grid[-1]:
        epoch_axis(axes, epochs, most=_MOST_EPOCHS, label=False)
        axes.set_xlabel("epoch")
    handles: list = [
        Line2D([], [], color=colour, marker=marker, markersize=5, linewidth=1.4, label=name)
        for name, (colour, marker) in (("residual stream", RESIDUAL), ("transient stream", TRANSIENT))
    ]
    handles += [Line2D([], [], color=TRUTH, linestyle="--", linewidth=0.8, label="H(Y)")]
    handles += [warned_handle()] if any(row.warnings for row in cells) else []
    body.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    yield "streams", figure


def _draw_line(
    line: Sequence[Axes],
    cells: tuple[InformationRow, ...],
    panel: Panel,
    quantity: Quantity,
    blocks: dict[str, tuple[str, str]],
    epochs: list[int],
) -> None:
    """The blocks of one task and quantity, each on its own scale: early blocks hold many times what late ones do."""
    for axes, taps in zip(line, blocks.values(), strict=True):
        curves = [Curve.of(rows_of(cells, panel, tap), quantity) for tap in taps]
        for curve, (colour, marker) in zip(curves, (RESIDUAL, TRANSIENT), strict=True):
            draw_curve(axes, [epochs.index(epoch) for epoch in curve.epochs], curve, colour, marker)
        start, end = drawn_range(curves)
        axes.set_ylim(start - 0.04 * (end - start), end + 0.08 * (end - start))
        axes.grid(axis="y", color=LIGHT, linewidth=0.5)
    line[0].set_ylabel(_LABELS[quantity])


def _verdicts(saved: SavedExperiment) -> list[str]:
    """The sentences about all blocks; none of an experiment that was measured before there was one."""
    path = saved.folder / "stream_verdict.csv"
    if not path.exists():
        return []
    return [f"{row.finding}." for row in read_table(path, StreamVerdictRow) if row.block == ALL_BLOCKS]


def _sentence(row: StreamRow) -> str:
    """The finding without its warnings: the figure shows them in grey, the notes name them once."""
    return row.finding.split(" [warning:")[0] + (" (grey: with a warning)." if row.warnings else ".")


def _meaning(rows: Sequence[StreamRow]) -> list[str]:
    notes = [
        "I(X;·) is usable information, mean(L0 − L), an estimate and no bound; I(·;Y) is a lower bound from a held-out "
        "probe. Differences are paired image by image, so that L0 cancels. Intervals of differences: "
        f"{last_rows(rows)[0].interval}; how decoders and probes of two layers happened to be fitted is not in them. "
        "Each panel has its own scale."
    ]
    changes = [
        row.i_xh_difference_change_bits for row in last_rows(rows) if row.i_xh_difference_change_bits is not None
    ]
    if changes:
        notes.append(
            "From half of the decoders' steps to all of them the differences about the image moved by at most "
            f"{np.max(np.abs(changes)):.1f} bits."
        )
    return notes
