"""How much each layer gains up to its peak and loses afterwards, a panel per task, with the findings in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from ib_analysis.information.phases_table import Phase, PhaseRow
from ib_analysis.information.table import read_table
from ib_analysis.information.warnings import split_warnings
from ib_analysis.plots.codes import FLOATING_POINT
from ib_analysis.plots.curves import MOST_COLUMNS, panels_of
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.style import INK, LIGHT, WARNED, framed, task_title

__all__ = ["draw"]

GAIN, LOSS = "#0072B2", "#D55E00"
"""Blue and vermilion of Okabe & Ito; the direction of the bars tells them apart without colour."""
WIDTH = 0.5


MOST_ROOM = 1.5
CUT = "Intervals that leave a panel are cut off; the sentences have their ends."


def draw(saved: SavedExperiment) -> Iterator[tuple[str, Figure]]:
    """One figure: bars up (fitting gain) and down (compression loss) per layer, intervals, peaks, and the findings.

    Where a layer was measured with several seeds the bar is the mean curve's, with its interval for new seeds; points
    are single runs. An experiment whose table has no rows gives no figure.

    Raises:
        UserError: ``phases.csv`` or ``data.json`` is missing or damaged.
    """
    rows = _titled(saved, read_table(saved.folder / "phases.csv", PhaseRow))
    if not rows:
        return
    panels = panels_of(rows)
    shown = {panel: _shown([row for row in rows if (row.task, row.number_format) == panel]) for panel in panels}
    summaries = [summary for layers in shown.values() for summary, _ in layers]
    bottom, top, cut = _ends(summaries, [run for layers in shown.values() for _, runs in layers for run in runs])
    columns = min(len(panels), MOST_COLUMNS)
    lines = -(-len(panels) // columns)
    figure, body = framed(
        "Fitting and compression",
        "Usable information about the image that each layer gains from the first checkpoint to its peak (up) and "
        f"loses from the peak to the last checkpoint (down); images: {saved.data.name}.",
        [*(_sentence(row) for row in summaries), *_notes(summaries), *([CUT] if cut else [])],
        body_inches=3.4 * lines,
    )
    grid = body.subplots(lines, columns, sharey=True, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    for axes, panel in zip(grid.flat, panels, strict=False):
        axes.set_title(task_title(*panel))
        _draw_panel(axes, shown[panel])
    grid[0, 0].set_ylim(-bottom, top)
    for line in grid:
        line[0].set_ylabel("bits lost (down), gained (up)")
    _legend(grid[0, 0], summaries, any(len(runs) > 1 for layers in shown.values() for _, runs in layers))
    yield "phases", figure


def _titled(saved: SavedExperiment, rows: Sequence[PhaseRow]) -> list[PhaseRow]:
    """Rows with their layers' titles, also where the findings begin with the name."""
    return [
        replace(titled, finding=titled.layer + row.finding.removeprefix(row.layer))
        if titled.layer != row.layer
        else row
        for row, titled in zip(rows, saved.filed.titled(rows), strict=True)
    ]


def _shown(rows: Sequence[PhaseRow]) -> list[tuple[PhaseRow, list[PhaseRow]]]:
    """Per layer of one panel: the row over seeds, or else the only one, and the rows of single runs."""
    layers: dict[str, list[PhaseRow]] = {}
    for row in rows:
        layers.setdefault(row.layer, []).append(row)
    found = []
    for of_layer in layers.values():
        runs = [row for row in of_layer if row.encoder_seed is not None]
        over_seeds = [row for row in of_layer if row.encoder_seed is None]
        found.append((over_seeds[0] if over_seeds else runs[0], runs))
    return found


def _draw_panel(axes: Axes, layers: Sequence[tuple[PhaseRow, list[PhaseRow]]]) -> None:
    labels = []
    for place, (row, runs) in enumerate(layers):
        _draw_bar(axes, place, row, GAIN, +1, "fitting_gain")
        _draw_bar(axes, place, row, LOSS, -1, "compression_loss")
        if len(runs) > 1:
            beside = place + np.linspace(0.09, 0.22, len(runs))  # clear of the interval in the middle
            for sign, name in ((1, "fitting_gain_bits"), (-1, "compression_loss_bits")):
                values = [sign * getattr(run, name) for run in runs]
                axes.plot(
                    beside, values, linestyle="none", marker="o", markersize=3, color=INK, markerfacecolor="white",
                    markeredgewidth=0.8, zorder=4, gid="run",
                )  # fmt: skip
        labels.append(f"{row.layer}\npeak {row.peak_epoch}{_peak_range(row)}")
    axes.axhline(0, color=INK, linewidth=0.8, zorder=3)
    axes.set_xticks(range(len(layers)), labels)
    axes.set_xlim(-0.6, len(layers) - 0.4)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y", color=LIGHT, linewidth=0.5)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):g}"))


def _peak_range(row: PhaseRow) -> str:
    """The checkpoints between which the true peak lies, where there is more than one."""
    if row.peak_epoch_low == row.peak_epoch_high:
        return ""
    return f"\n({row.peak_epoch_low}–{row.peak_epoch_high})"


def _draw_bar(axes: Axes, place: int, row: PhaseRow, colour: str, sign: int, name: Phase) -> None:
    """A bar with its interval; grey and hollow if it comes with a warning, whatever is said of the other bar."""
    value, low, high = (getattr(row, f"{name}_bits{end}") for end in ("", "_low", "_high"))
    if not np.isfinite([value, low, high]).all():
        return
    warned = bool(row.doubts(name))
    below, above = max(0.0, value - low), max(0.0, high - value)  # never below zero but for the table's rounding
    axes.bar(
        [place], [sign * value], width=WIDTH, zorder=2, linewidth=1.0,
        facecolor="white" if warned else colour, edgecolor=WARNED if warned else colour,
        gid="warned" if warned else name,
    )  # fmt: skip
    axes.errorbar(
        [place], [sign * value], yerr=[[below], [above]] if sign > 0 else [[above], [below]], fmt="none",
        ecolor=WARNED if warned else INK, elinewidth=1.1, capsize=3.5, zorder=5,
    )  # fmt: skip


def _ends(summaries: Sequence[PhaseRow], runs: Sequence[PhaseRow]) -> tuple[float, float, bool]:
    """One scale for all panels, down and up, and whether it cuts intervals off.

    It reaches to the ends of all intervals and points, with a little room, but no further than `MOST_ROOM` times the
    highest bar or point: intervals from two seeds would leave nothing else to be seen.
    """
    known: list[float] = []
    ends = []
    for name in ("compression_loss_bits", "fitting_gain_bits"):
        values = [getattr(row, name) for row in (*summaries, *runs)]
        known += [value for value in values if np.isfinite(value)]
        highs = [getattr(row, f"{name}_high") for row in summaries]
        ends.append(max([value for value in (*values, *highs) if np.isfinite(value)], default=0.0))
    most = MOST_ROOM * max(known, default=0.0)
    shown = [min(end, most) if most > 0 else end for end in ends]
    room = 0.06 * sum(shown) or 1.0
    return shown[0] + room, shown[1] + room, shown != ends


def _sentence(row: PhaseRow) -> str:
    """The finding without its warnings: the figure shows them in grey, the notes name them once."""
    finding = row.finding.split(" [warning:")[0]
    gain, loss = row.doubts("fitting_gain"), row.doubts("compression_loss")
    if gain and loss:
        return f"{finding} (grey: with a warning)."
    if gain or loss:
        return f"{finding} (the {'gain' if gain else 'loss'} is grey: with a warning)."
    return f"{finding}."


def _notes(rows: Sequence[PhaseRow]) -> list[str]:
    notes = [
        "Differences of code lengths, paired image by image: L0 cancels. 95 % intervals, which allow for the choice "
        "of the peak. Below each layer its peak's epoch; in brackets, the checkpoints among which the true peak is.",
    ]
    quantized = {row.number_format: row.first_epoch for row in rows if row.number_format not in FLOATING_POINT}
    if quantized:
        starts = ", ".join(f"{name} from epoch {epoch}" for name, epoch in quantized.items())
        notes.append(
            f"Quantized networks from the first checkpoint at which their activations are quantized: {starts}."
        )
    methods = sorted({row.interval for row in rows})
    notes.append(f"Intervals: {'; '.join(methods)}." + _single(rows))
    warned = [row for row in rows if row.warnings]
    if warned:
        names = sorted({name for row in warned for name in split_warnings(row.warnings)})
        notes.append(
            f"Grey, hollow: the gain or the loss, or a cell at an end of it, comes with a warning "
            f"({', '.join(names).replace('_', ' ')}); not to be relied on."
        )
    return notes


def _single(rows: Sequence[PhaseRow]) -> str:
    if all(row.encoder_seed is None for row in rows):
        return " Points: single runs."
    return " One network each: another seed may behave differently."


def _legend(axes: Axes, rows: Sequence[PhaseRow], points: bool) -> None:
    handles: list[Patch | Line2D] = [
        Patch(facecolor=GAIN, label="fitting gain"), Patch(facecolor=LOSS, label="compression loss")
    ]  # fmt: skip
    if points:
        handles.append(Line2D([], [], linestyle="none", marker="o", markersize=3, color=INK, markerfacecolor="white",
                              label="single run"))  # fmt: skip
    if any(row.warnings for row in rows):
        handles.append(Patch(facecolor="white", edgecolor=WARNED, label="with a warning"))
    axes.figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
