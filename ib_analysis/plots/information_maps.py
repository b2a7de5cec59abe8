"""Where the bits are: maps of L0 - L per layer at the first checkpoint, at the peak and at the last one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ib_analysis.information.phases_table import PhaseRow
from ib_analysis.information.table import InformationRow, read_table
from ib_analysis.plots.curves import Panel, epochs_of, layers_of, panels_of, rows_of, warnings_note
from ib_analysis.plots.saved import MeanMaps, SavedExperiment
from ib_analysis.plots.style import INK, LIGHT, MUTED, WARNED, WIDTH_INCHES, epoch_colours, framed, task_title

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
    peaks = _peak_epochs(saved.filed.titled(read_table(saved.folder / "phases.csv", PhaseRow)))
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
    channels, *shape = layers[0].maps[0].shape
    colour = channels > 1
    shown = "summed over the channels; on the right each channel's sum" if colour else "means over held-out images"
    place = _Places(len(layers), shape[0], shape[1], colour)
    figure, body = framed(
        f"Where the bits were: {task_title(*panel)}",
        f"Usable information about each pixel, L0 − L in bits, that a layer holds at the first checkpoint, at its peak "
        f"and at the last one, and what changed since the peak; images: {data_name}; {shown}.",
        [_READING, "Above each map its sum: I(X;H), or its change, in bits. " + _seeds(rows), *_notes(layers, rows)],
        body_inches=place.height_inches,
    )
    figure.set_layout_engine("none")  # its solver's last digits vary, and everything has its place
    bits, change = _scales(layers)
    bars = []
    for row, layer in enumerate(layers):
        for column, what in enumerate(MOMENTS):
            axes = body.add_axes(place.map(row, column))
            title = f"epoch {layer.epochs[column]}: {_short(layer.maps[column])}"
            _draw_map(axes, layer.maps[column], bits, title, layer.warned[column], what)
            if column == 0:
                axes.set_ylabel(layer.name, rotation=0, ha="right", va="center", weight="bold", color=INK)
            if row == 0:
                _heading(axes, what.capitalize())
        axes = body.add_axes(place.map(row, 3))
        same = layer.epochs[1] == layer.epochs[2]  # the map is zero everywhere
        title = "peak = last" if same else _short(layer.change, sign="+")
        _draw_map(axes, layer.change, change, title, any(layer.warned[1:]), "change")
        if row == 0:
            _heading(axes, "Last − peak")
        if colour:
            bars.append(body.add_axes(place.channels(row)))
            _draw_channels(bars[-1], layer)
    if colour:
        _heading(bars[0], "Per channel")
        _share_bars(bars)
    _draw_scale(body.add_axes(place.scale(0, 3), label="<colorbar>"), bits, "L0 − L, bits per pixel")
    _draw_scale(body.add_axes(place.scale(3, 1), label="<colorbar>"), change, "change, bits per pixel")
    return figure


@dataclass(frozen=True)
class _Places:
    """Where the panels are, in inches: pixels stay square, and equal maps give equal bytes (a solver's layout does
    not always)."""

    layers: int
    height: int
    width: int
    colour: bool

    @property
    def _title(self) -> float:
        return 0.42 if self.colour else 0.3

    @property
    def _pitch(self) -> float:
        """From one column of maps to the next."""
        return 1.32 if self.colour else 1.63

    @property
    def _map(self) -> tuple[float, float]:
        """Width and height of a map."""
        pixel = min((self._pitch - 0.14) / self.width, min(1.8, 8.0 / self.layers - self._title) / self.height)
        return pixel * self.width, pixel * self.height

    @property
    def height_inches(self) -> float:
        return self._top(self.layers) - self._title + 0.75

    def _box(self, left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
        """A box whose top is so many inches below the upper edge, in fractions of the body."""
        whole = self.height_inches
        return left / WIDTH_INCHES, 1 - (top + height) / whole, width / WIDTH_INCHES, height / whole

    def _top(self, row: int) -> float:
        return 0.5 + row * (self._title + self._map[1])

    def map(self, row: int, column: int) -> tuple[float, float, float, float]:
        return self._box(0.4 + column * self._pitch, self._top(row), *self._map)

    def channels(self, row: int) -> tuple[float, float, float, float]:
        left = 0.4 + 4 * self._pitch + 0.32  # room for ticks of four digits
        return self._box(left, self._top(row), WIDTH_INCHES - 0.08 - left, self._map[1])

    def scale(self, column: int, columns: int) -> tuple[float, float, float, float]:
        """Below so many columns of maps."""
        width = (columns - 1) * self._pitch + self._map[0]
        return self._box(0.4 + column * self._pitch, self.height_inches - 0.55, width, 0.1)


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


def _draw_scale(axes: Axes, scale: ScalarMappable, label: str) -> None:
    bar = axes.figure.colorbar(scale, cax=axes, orientation="horizontal")
    bar.set_label(label)
    axes.tick_params(labelsize=8)
    axes.locator_params(axis="x", nbins=6 if "change" not in label else 3)
    bar.outline.set_visible(False)


# ---------------------------------------------------------------------------------------------- panels


def _draw_map(axes: Axes, values: np.ndarray, scale: ScalarMappable, title: str, warned: bool, gid: str) -> None:
    """One map, summed over channels; what is not finite is grey."""
    low, high = scale.get_clim()
    picture = axes.imshow(values.sum(0), cmap=scale.cmap, vmin=low, vmax=high, interpolation="nearest")
    picture.set_gid(gid)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(LIGHT)
    found = axes.set_title(title, size=8.5, weight="normal", color=WARNED if warned else INK, pad=3)
    found.set_gid("warned" if warned else None)


def _short(values: np.ndarray, sign: str = "") -> str:
    """A map's sum as text: three digits or more."""
    total = float(values.sum())
    if not np.isfinite(total):
        return "not finite"
    return f"{total:{sign}.{2 if abs(total) < 10 else 1}f}".replace("-", "−")


def _heading(axes: Axes, text: str) -> None:
    axes.annotate(text, (0, 1), (0, 17), xycoords="axes fraction", textcoords="offset points", size=9.5, weight="bold")


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
        handles=handles, loc="upper center", bbox_to_anchor=(0.36, -0.2), ncols=3, columnspacing=0.7,
        handlelength=0.7, handletextpad=0.3, borderaxespad=0,
    )  # fmt: skip
