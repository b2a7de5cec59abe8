"""Which factors of the image are still there: probe information per factor, as a share of its true bits.

A panel per layer and task; in it a line per factor and a field per epoch. The number in a field is the percentage of
the factor's bits that a probe finds in the layer. The nuisance has a colour of its own, and so has the last line:
usable information I(X;H) as a share of H(X), so that meaning, nuisance and whole image are compared at a glance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ib_analysis.information.table import FactorRow, InformationRow
from ib_analysis.plots.curves import (
    MOST_COLUMNS,
    Curve,
    epochs_of,
    layers_of,
    panels_of,
    rows_of,
    seeds_in_words,
    warnings_note,
)
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.shannon import shannon_note
from ib_analysis.plots.style import INK, MUTED, WARNED, framed, task_title

__all__ = ["NUISANCE", "draw"]

NUISANCE = "noise"
"""The factor that carries no meaning; it stands apart from the others."""

_GAP = 0.35  # air between meaning, nuisance and whole image, in lines
_LINE_INCHES = 0.17
_MOST_NUMBERS = 12  # with more epochs than this the numbers would touch: colour alone tells


def _ramp(name: str, dark: str) -> Colormap:
    return LinearSegmentedColormap.from_list(name, ["#f6f6f6", dark])


_MEANING, _NOISE, _IMAGE = _ramp("meaning", "#004a80"), _ramp("nuisance", "#a34600"), _ramp("image", "#00614b")


@dataclass(frozen=True)
class _Line:
    """One line of a panel: what it is called, where it stands, its share of the truth per epoch (or nan), and the
    shares of single runs per epoch."""

    label: str
    place: float
    shares: np.ndarray
    colours: Colormap
    warned: np.ndarray
    runs: tuple[tuple[float, ...], ...]


def draw(saved: SavedExperiment) -> Iterator[tuple[str, Figure]]:
    """One figure: a grid of layers (rows) and tasks (columns), further number formats below.

    Raises:
        UserError: ``factors.csv``, ``information.csv`` or ``data.json`` is missing or damaged.
    """
    rows = [row for row in saved.factors if row.true_bits > 0]  # a factor with one value has nothing to keep
    cells, h_x_bits = saved.information, saved.data.h_x_bits
    panels, layers, epochs = panels_of(rows), layers_of(rows), epochs_of(rows)
    columns = min(len(panels), MOST_COLUMNS)
    blocks = -(-len(panels) // columns)  # of a line per layer
    n_lines = len({row.factor for row in rows}) + (h_x_bits is not None) + 2 * _GAP
    figure, body = framed(
        "Which factors are still there",
        "Information about each factor of the image that a probe finds in a layer, in per cent of the factor's true "
        "bits (given on the left), epoch by epoch. Dark: all of it is there; pale: none.",
        [*_notes(rows, cells, h_x_bits), *warnings_note(cells)],
        body_inches=blocks * (len(layers) * (_LINE_INCHES * n_lines + 0.30) + 0.65),
    )
    grid = body.subplots(blocks * len(layers), columns, squeeze=False)
    for at, layer in enumerate(layers):
        lines_of_layer = grid[at :: len(layers)]
        for axes in lines_of_layer.flat[len(panels) :]:
            axes.remove()
        for axes, panel in zip(lines_of_layer.flat, panels, strict=False):
            measured = rows_of(cells, panel, layer)
            curve = Curve.of(measured, "i_xh") if measured else None
            lines = _lines(rows_of(rows, panel, layer), curve, epochs, h_x_bits)
            _draw_panel(axes, lines, len(epochs))
            axes.set_title(layer + (f"   I(X;H) {_journey(curve)}" if curve else ""), size=8.5, weight="normal", pad=3)
            axes.set_yticks([one.place for one in lines], [one.label for one in lines] if axes in grid[:, 0] else [])
            axes.set_xticks([])
    step = -(-len(epochs) // _MOST_NUMBERS)
    for axes in grid[len(layers) - 1 :: len(layers)].flat[: len(panels)]:
        axes.set_xticks(range(0, len(epochs), step), [str(epoch) for epoch in epochs[::step]])
        axes.set_xlabel("epoch")
    for axes, panel in zip(grid[:: len(layers)].flat, panels, strict=False):
        axes.annotate(
            task_title(*panel), (0, 1), xytext=(0, 19), xycoords="axes fraction", textcoords="offset points",
            size=9.5, weight="bold",
        )  # fmt: skip
    yield "factors_by_epoch", figure


def _lines(
    rows: Sequence[FactorRow], curve: Curve | None, epochs: Sequence[int], h_x_bits: float | None
) -> list[_Line]:
    """The lines of one panel from top to bottom: meaning, nuisance, whole image."""
    true_bits = {row.factor: row.true_bits for row in rows}
    order = sorted(true_bits, key=lambda factor: factor == NUISANCE)  # stable: the nuisance last
    lines, place = [], 0.0
    calm = np.zeros(len(epochs), dtype=bool)
    for factor in order:
        place += _GAP if factor == NUISANCE else 0
        runs = tuple(_shares(rows, factor, epoch) for epoch in epochs)
        shares = np.array([np.mean(of_epoch) if of_epoch else np.nan for of_epoch in runs])
        label = f"{factor}, {_bits(true_bits[factor])}"
        lines.append(_Line(label, place, shares, _NOISE if factor == NUISANCE else _MEANING, calm, runs))
        place += 1
    if curve is not None and h_x_bits is not None:
        index = {epoch: at for at, epoch in enumerate(curve.epochs)}
        shares = np.array([curve.value[index[e]] / h_x_bits if e in index else np.nan for e in epochs])
        warned = np.array([e in index and curve.warned[index[e]] for e in epochs], dtype=bool)
        runs = tuple(tuple(curve.runs[:, index[e]] / h_x_bits) if e in index else () for e in epochs)
        lines.append(_Line(f"whole image, {_bits(h_x_bits)}", place + _GAP, shares, _IMAGE, warned, runs))
    return lines


def _shares(rows: Sequence[FactorRow], factor: str, epoch: int) -> tuple[float, ...]:
    """The share of a factor's true bits in the run of each seed; none where it was not measured."""
    return tuple(row.bits / row.true_bits for row in rows if (row.factor, row.epoch) == (factor, epoch))


def _draw_panel(axes: Axes, lines: Sequence[_Line], n_epochs: int) -> None:
    for line in lines:
        for at, (share, warned) in enumerate(zip(line.shares, line.warned, strict=True)):
            if np.isnan(share):
                continue
            colour = line.colours(float(np.clip(share, 0, 1)))
            axes.add_patch(
                Rectangle(
                    (at - 0.48, line.place - 0.46),
                    0.96,
                    0.92,
                    linewidth=0.8 if warned else 0,
                    facecolor="white" if warned else colour,
                    edgecolor=WARNED,
                    gid="warned" if warned else "cell",
                )
            )
            if len(line.runs[at]) > 1:  # ticks on the field's lower edge, from 0 % on its left to 100 % on its right
                ticks = at - 0.48 + 0.96 * np.clip(line.runs[at], 0, 1)
                axes.vlines(
                    ticks, line.place + 0.26, line.place + 0.46, linewidth=0.7, gid="run",
                    color=WARNED if warned else _readable_on(colour),
                )  # fmt: skip
            if n_epochs <= _MOST_NUMBERS:
                height = line.place + (0.03 if len(line.runs[at]) < 2 else -0.06)  # clear of the ticks
                axes.text(
                    at, height, f"{max(round(100 * share), 0)}", size=8, ha="center", va="center_baseline",
                    color=WARNED if warned else _readable_on(colour),
                )  # fmt: skip
    axes.set_ylim(lines[-1].place + 0.5, -0.5)
    axes.set_xlim(-0.5, n_epochs - 0.5)
    axes.tick_params(length=0, labelcolor=MUTED)
    axes.spines[:].set_visible(False)


def _readable_on(colour: tuple[float, float, float, float]) -> str:
    """Black or white, whichever has more contrast (relative luminance of WCAG 2, with gamma 2.2)."""
    luminance = sum(weight * part**2.2 for weight, part in zip((0.2126, 0.7152, 0.0722), colour, strict=False))
    return "white" if (1.05 / (luminance + 0.05)) > ((luminance + 0.05) / 0.05) * 0.6 else INK


def _journey(curve: Curve) -> str:
    """First, highest and last I(X;H)."""
    return " → ".join(f"{curve.value[at]:.1f}" for at in (0, curve.peak, -1)) + " bits"


def _bits(value: float) -> str:
    """A number of bits as short as it can be told.

    >>> _bits(1.0), _bits(3.3219), _bits(271.32)
    ('1 bit', '3.32 bits', '271.3 bits')
    """
    number = f"{value:.{2 if value < 10 else 1}f}".rstrip("0").rstrip(".")
    return f"{number} bit" if number == "1" else f"{number} bits"


def _notes(rows: Sequence[FactorRow], cells: Sequence[InformationRow], h_x_bits: float | None) -> list[str]:
    margin = 100 * np.nanmax([(row.high - row.low) / 2 / row.true_bits for row in rows])
    colours = "Blue: meaning. Orange: nuisance."
    if h_x_bits is not None:
        colours += f" Green: usable information I(X;H), in per cent of H(X) = {_bits(h_x_bits)}. " + shannon_note(
            cells, h_x_bits, " (100 %)"
        )
    seeds = seeds_in_words(cells)
    return [
        colours,
        "Beside a layer's name: its I(X;H) at the first epoch, at its peak and at the last epoch. "
        f"95 % bootstrap intervals of the factors are at most ± {margin:.1f} percentage points."
        + (
            f" Numbers: means over {seeds}. Ticks in a field: single runs, from 0 % at its left edge to 100 % at "
            "its right."
            if seeds
            else ""
        ),
    ]
