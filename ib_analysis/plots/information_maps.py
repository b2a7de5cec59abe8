"""Where the bits are: maps of L0 - L per layer at the first checkpoint, at the peak and at the last one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch

from ib_analysis.information.phases_table import PhaseRow
from ib_analysis.information.table import InformationRow, read_table
from ib_analysis.plots.curves import Panel, epochs_of, layers_of, panels_of, rows_of, warnings_note
from ib_analysis.plots.saved import MeanMaps, SavedExperiment
from ib_analysis.plots.style import INK, LIGHT, MUTED, WARNED, epoch_colours, framed, task_title

__all__ = ["draw"]

MOMENTS = ("first", "peak", "last")
BITS, CHANGE = "cividis", "PuOr_r"
"""Both told apart by every common kind of colour vision; the second is white at zero."""
CHANNELS = "RGB"
_READING = (
    "A pixel's bits are those given all pixels before it (rows from the top, each from the left): what several pixels "
    "share is booked at the first of them that shows it."
)


@dataclass(frozen=True)
class _Layer:
    """What is drawn of a layer: maps of L0 - L in bits, shape (C, H, W), each a mean over seeds.

    Arguments:
        epochs: of the first checkpoint, the peak and the last one.
        maps: at these epochs.
        warned: whether a cell that the map is made of has a warning.
    """

    name: str
    epochs: tuple[int, ...]
    maps: tuple[np.ndarray, ...]
    warned: tuple[bool, ...]

    @property
    def change(self) -> np.ndarray:
        """From the peak to the last checkpoint; L0 cancels."""
        return self.maps[2] - self.maps[1]


def draw(saved: SavedExperiment) -> Iterator[tuple[str, Figure]]:
    """For each task one figure: rows are layers, columns are checkpoints and the change from the peak to the last.

    Where the file of code lengths keeps no map of the common L0 (that of an older experiment) there is no figure.

    Raises:
        UserError: ``code_lengths.h5``, ``information.csv``, ``phases.csv`` or ``data.json`` is missing or damaged.
    """
    maps = saved.mean_maps
    if maps is None:
        return
    peaks = _peak_epochs(read_table(saved.folder / "phases.csv", PhaseRow))
    for panel in panels_of(saved.information):
        rows = [row for row in saved.information if (row.task, row.number_format) == panel]
        layers = [
            _layer(maps, rows_of(rows, panel, name), peaks[(*panel, name)])
            for name in layers_of(rows)
            if (*panel, name) in peaks
        ]
        if layers:
            name = panel[0] if panel[1] == "float32" else "_".join(panel)
            yield f"information_maps_{name}", _figure(saved.data.name, panel, layers, rows)


def _peak_epochs(rows: Sequence[PhaseRow]) -> dict[tuple[str, str, str], int]:
    """(task, number format, layer) -> epoch of the peak: of the row over seeds, or else of the only one."""
    found: dict[tuple[str, str, str], int] = {}
    for row in rows:
        key = (row.task, row.number_format, row.layer)
        if key not in found or row.encoder_seed is None:
            found[key] = row.peak_epoch
    return found


def _layer(maps: MeanMaps, rows: Sequence[InformationRow], peak: int) -> _Layer:
    """Average one layer's maps over seeds."""
    epochs = epochs_of(rows)
    moments = (epochs[0], peak, epochs[-1])
    cells = [[row for row in rows if row.epoch == epoch] for epoch in moments]
    return _Layer(
        name=rows[0].layer,
        epochs=moments,
        maps=tuple(
            maps.null - np.mean([maps.given[row.decoder, row.epoch, row.layer] for row in cell], axis=0)
            for cell in cells
        ),
        warned=tuple(any(row.warnings for row in cell) for cell in cells),
    )


def _figure(data_name: str, panel: Panel, layers: Sequence[_Layer], rows: Sequence[InformationRow]) -> Figure:
    colour = layers[0].maps[0].shape[0] > 1
    shown = "summed over the channels; on the right each channel's sum" if colour else "mean over the held-out images"
    figure, body = framed(
        f"Where the bits were: {task_title(*panel)}",
        f"Usable information about each pixel, L0 − L in bits, that a layer holds at the first checkpoint, at its peak "
        f"and at the last one, and what changed since the peak; images: {data_name}; {shown}.",
        [_READING, "Above each map its sum: I(X;H), or its change, in bits. " + _seeds(rows), *_notes(layers, rows)],
        body_inches=0.85 + len(layers) * min(1.55 if colour else 1.8, 8.2 / len(layers)),
    )
    ratios = (1, 1, 1, 1, 1.05) if colour else (1, 1, 1, 1)
    grid = body.subplots(len(layers), len(ratios), squeeze=False, width_ratios=ratios)
    bits, change = _scales(layers)
    for line, layer in zip(grid, layers, strict=True):
        for axes, what, epoch, values, warned in zip(line, MOMENTS, layer.epochs, layer.maps, layer.warned, strict=False):
            total = float(values.sum())
            _draw_map(axes, values, bits, f"epoch {epoch}: {total:.2f}" if np.isfinite(total) else "", warned, what)
        _draw_change(line[3], layer, change)
        line[0].set_ylabel(layer.name, rotation=0, ha="right", va="center", weight="bold", color=INK)
        if colour:
            _draw_channels(line[4], layer)
    if colour:
        _share_bars([line[4] for line in grid])
    for axes, heading in zip(grid[0], ("First", "Peak", "Last", "Last − peak", "Per channel"), strict=False):
        axes.annotate(
            heading, (0, 1), (0, 16), xycoords="axes fraction", textcoords="offset points", size=9.5, weight="bold"
        )
    _bars(body, grid, bits, change)
    return figure


def _seeds(rows: Sequence[InformationRow]) -> str:
    pairs = len({(row.encoder_seed, row.decoder_seed) for row in rows})
    return f"Means over {pairs} pairs of encoder and decoder seeds." if pairs > 1 else ""


def _notes(layers: Sequence[_Layer], rows: Sequence[InformationRow]) -> list[str]:
    moments = {(layer.name, epoch) for layer in layers for epoch in layer.epochs}
    return warnings_note([row for row in rows if (row.layer, row.epoch) in moments], "Grey titles")


# ---------------------------------------------------------------------------------------------- scales


def _scales(layers: Sequence[_Layer]) -> tuple[ScalarMappable, ScalarMappable]:
    """One scale for all maps of L0 - L, and one, symmetric about zero, for all changes."""
    finite = [np.where(np.isfinite(values), values, 0).sum(0) for layer in layers for values in layer.maps]
    low, high = min(0.0, *(values.min() for values in finite)), max(values.max() for values in finite)
    changes = [np.where(np.isfinite(layer.change), layer.change, 0).sum(0) for layer in layers]
    most = max(float(np.abs(values).max()) for values in changes)
    most = most or 0.1 * (high - low) or 1.0  # nothing has changed: any scale will do
    bits = ScalarMappable(Normalize(low, high if high > low else low + 1.0), _colours(BITS))
    return bits, ScalarMappable(Normalize(-most, most), _colours(CHANGE))


def _colours(name: str) -> Colormap:
    return matplotlib.colormaps[name].with_extremes(bad=LIGHT)


def _bars(body: SubFigure, grid: np.ndarray, bits: ScalarMappable, change: ScalarMappable) -> None:
    for mappable, axes, label in (
        (bits, grid[:, :3], "L0 − L, bits per pixel"),
        (change, grid[:, 3:4], "change, bits per pixel"),
    ):
        bar = body.colorbar(
            mappable, ax=list(axes.flat), location="bottom", aspect=14 * axes.shape[1], pad=0.02,
            fraction=0.12 / len(grid), shrink=0.94,
        )  # fmt: skip
        bar.set_label(label)
        bar.ax.tick_params(labelsize=8)
        bar.ax.locator_params(axis="x", nbins=5 if axes.shape[1] > 1 else 3)
        bar.outline.set_visible(False)  # type: ignore[operator]


# ---------------------------------------------------------------------------------------------- panels


def _draw_map(axes: Axes, values: np.ndarray, scale: ScalarMappable, title: str, warned: bool, gid: str) -> None:
    """One map, summed over channels; what is not finite is grey."""
    picture = axes.imshow(values.sum(0), cmap=scale.cmap, norm=scale.norm, interpolation="nearest")
    picture.set_gid(gid)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(LIGHT)
    found = axes.set_title(
        title or "not finite", size=8.5, weight="normal", color=WARNED if warned else INK, pad=3
    )  # fmt: skip
    found.set_gid("warned" if warned else None)


def _draw_change(axes: Axes, layer: _Layer, scale: ScalarMappable) -> None:
    total = float(layer.change.sum())
    title = f"{total:+.2f}".replace("-", "−") if np.isfinite(total) else ""
    if layer.epochs[1] == layer.epochs[2]:
        title = "peak = last"
    _draw_map(axes, layer.change, scale, title, any(layer.warned[1:]), "change")


def _draw_channels(axes: Axes, layer: _Layer) -> None:
    """Bars of each channel's bits at the three checkpoints."""
    colours = epoch_colours(len(MOMENTS))
    for place, (what, values) in enumerate(zip(MOMENTS, layer.maps, strict=True)):
        sums = values.sum((1, 2))
        x = np.arange(len(sums)) + 0.27 * (place - 1)
        axes.bar(x, np.where(np.isfinite(sums), sums, 0), width=0.25, color=colours(place), gid=f"channel_{what}")
    axes.set_xticks(range(len(sums)), list(CHANNELS[: len(sums)]))
    axes.tick_params(axis="x", length=0)
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.set_title("bits", size=8.5, weight="normal", pad=3)
    axes.locator_params(axis="y", nbins=4)


def _share_bars(panels: Sequence[Axes]) -> None:
    """One scale for all layers' bars, and a legend below the last ones."""
    low, high = (end([axes.get_ylim()[k] for axes in panels]) for k, end in enumerate((min, max)))
    for axes in panels:
        axes.set_ylim(low, high)
    colours = epoch_colours(len(MOMENTS))
    handles = [Patch(color=colours(place), label=what) for place, what in enumerate(MOMENTS)]
    panels[-1].legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.45, -0.16), ncols=3, columnspacing=0.7,
        handlelength=0.7, handletextpad=0.3, borderaxespad=0,
    )  # fmt: skip
