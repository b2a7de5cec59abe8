"""From rows of ``information.csv`` to what is drawn: one curve per panel and layer, averaged over seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from matplotlib.axes import Axes

from ib_analysis.information.change import WIDENING
from ib_analysis.information.table import InformationRow
from ib_analysis.information.warnings import split_warnings
from ib_analysis.plots.style import WARNED

__all__ = [
    "MOST_COLUMNS",
    "Curve",
    "Panel",
    "Quantity",
    "change_note",
    "draw_curve",
    "drawn_range",
    "epochs_of",
    "layers_of",
    "panels_of",
    "rows_of",
    "seeds_in_words",
    "seeds_note",
    "warnings_note",
]

Panel = tuple[str, str]
"""A task and a number format: what gets a panel of its own."""
MOST_COLUMNS = 2
"""Panels side by side that a page has room for; further ones lie below."""
Quantity = Literal["i_xh", "i_hy", "spike_in", "spike_in_mixed"]
_COLUMNS: dict[Quantity, str] = {
    "i_xh": "i_xh_bits", "i_hy": "i_hy_bits", "spike_in": "spike_in_recovered",
    "spike_in_mixed": "spike_in_mixed_recovered",
}  # fmt: skip


class _Encoded(Protocol):
    @property
    def task(self) -> str: ...
    @property
    def number_format(self) -> str: ...


class _Placed(_Encoded, Protocol):
    @property
    def epoch(self) -> int: ...
    @property
    def layer(self) -> str: ...


Row = TypeVar("Row", bound=_Placed)


def panels_of(rows: Iterable[_Encoded]) -> list[Panel]:
    """The panels, in the order in which they first appear."""
    return list(dict.fromkeys((row.task, row.number_format) for row in rows))


def layers_of(rows: Iterable[_Placed]) -> list[str]:
    """The layers, from the input on: in the order in which they first appear."""
    return list(dict.fromkeys(row.layer for row in rows))


def epochs_of(rows: Iterable[_Placed]) -> list[int]:
    """The measured epochs of all runs, ascending."""
    return sorted({row.epoch for row in rows})


def rows_of(rows: Iterable[Row], panel: Panel, layer: str) -> list[Row]:
    """The rows of one panel and layer."""
    return [row for row in rows if (row.task, row.number_format) == panel and row.layer == layer]


@dataclass(frozen=True)
class Curve:
    """A quantity of one layer against epochs, in bits or as a fraction; all arrays of shape (n_epochs,).

    With several seeds `value` is their mean, and `low` to `high` spans the intervals of all of them; `runs` holds the
    value of every single run (shape (n_runs, n_epochs), sorted by encoder and decoder seed; nan where it has no such
    epoch). `warned` is true where any of them has a warning. `high_with_change` is `high` lifted by what the
    information rose from half of the decoders' steps to all of them; nan where that was not measured. What is empty or
    not finite is nan, and is not drawn.
    """

    epochs: tuple[int, ...]
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    warned: np.ndarray
    runs: np.ndarray
    high_with_change: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[InformationRow], quantity: Quantity) -> Curve:
        """Average the rows of one panel and layer over their seeds; what no row has is nan."""
        epochs = epochs_of(rows)
        cells = [[row for row in rows if row.epoch == epoch] for epoch in epochs]

        def column(suffix: str, over: Callable[[list[float]], Any]) -> np.ndarray:
            return named(f"{_COLUMNS[quantity]}{suffix}", over)

        def named(name: str, over: Callable[[list[float]], Any]) -> np.ndarray:
            found = [[getattr(row, name) for row in cell] for cell in cells]
            values = np.array([np.nan if None in values else over(values) for values in found], dtype=float)
            return np.where(np.isfinite(values), values, np.nan)

        seeds = sorted({(row.encoder_seed, row.decoder_seed) for row in rows})
        runs = np.full((len(seeds), len(epochs)), np.nan)
        for row in rows:
            value = getattr(row, _COLUMNS[quantity])
            place = seeds.index((row.encoder_seed, row.decoder_seed)), epochs.index(row.epoch)
            runs[place] = value if value is not None and np.isfinite(value) else np.nan
        return cls(
            epochs=tuple(epochs),
            value=column("", np.mean),
            low=column("_low", min),
            high=column("_high", max),
            warned=np.array([any(row.warnings for row in cell) for cell in cells], dtype=bool),
            runs=runs,
            high_with_change=(
                named("information_high_with_change", max) if quantity == "i_xh" else np.full(len(epochs), np.nan)
            ),
        )

    @property
    def peak(self) -> int:
        """Index of the highest point, as in the closing table and in phases.csv; the first one of equals."""
        return self.peak_from(0)

    def peak_from(self, epoch: int) -> int:
        """The same among the epochs from one on, as in these tables for networks that are quantized from it on."""
        counts = ~np.isnan(self.value) & (np.array(self.epochs) >= epoch)
        return int(np.argmax(np.where(counts, self.value, -np.inf)))


def drawn_range(curves: Iterable[Curve]) -> tuple[float, float]:
    """The smallest (at most 0) and the largest value that curves and their intervals reach; (0, 1) if there is none."""
    drawn = [(curve.low, curve.high, curve.value, curve.high_with_change) for curve in curves]
    ends = np.concatenate([[0.0], *(part for parts in drawn for part in parts)])
    lowest, highest = float(np.nanmin(ends)), float(np.nanmax(ends))
    return lowest, highest if highest > 0 else 1.0


def draw_curve(axes: Axes, places: Sequence[float], curve: Curve, colour: str, marker: str) -> None:
    """Draw a curve with its band against places on the epoch axis; cells with warnings grey and hollow.

    A stretch of line or band that touches a cell with a warning is grey too. Of several seeds, each run is a hair line.
    A lighter band above the band is what longer fits have found more.
    """
    if np.isfinite(curve.high_with_change).any():
        axes.fill_between(
            places, curve.high, curve.high_with_change, color=colour, alpha=0.08, linewidth=0, zorder=0.9, gid="change"
        )  # fmt: skip
    axes.fill_between(places, curve.low, curve.high, color=colour, alpha=0.16, linewidth=0, zorder=1)
    if len(curve.runs) > 1:
        for values in curve.runs:
            axes.plot(places, values, color=colour, linewidth=0.5, alpha=0.7, zorder=1.5, gid="run")
    for index in range(len(places) - 1):
        grey = bool(curve.warned[index : index + 2].any())
        axes.plot(
            places[index : index + 2], curve.value[index : index + 2], linewidth=1.4, zorder=2,
            color=WARNED if grey else colour, linestyle=(0, (2, 1.5)) if grey else "-",
        )  # fmt: skip
    for place, value, warned in zip(places, curve.value, curve.warned, strict=True):
        axes.plot(
            [place], [value], marker=marker, markersize=5, zorder=4 if warned else 3, linestyle="none",
            markeredgewidth=1.1, color=WARNED if warned else colour,
            markerfacecolor="white" if warned else colour, gid="warned" if warned else "cell",
        )  # fmt: skip


def change_note(rows: Sequence[InformationRow]) -> list[str]:
    """A sentence on the lighter bands, where there are any."""
    if not any(row.information_high_with_change is not None for row in rows):
        return []
    found = "what the decoders found more from half of their steps to all of them"
    return [f"Lighter bands on top: {WIDENING:g} times {found}."]


def seeds_note(rows: Sequence[InformationRow], runs: str, intervals: str) -> list[str]:
    """A sentence on averaging and spread, where there is more than one seed.

    Arguments:
        runs: what single runs are drawn as ("hair lines").
        intervals: what intervals are drawn as ("bands").
    """
    seeds = seeds_in_words(rows)
    return (
        [f"Points: means over {seeds}; {runs}: single runs; {intervals} span the intervals of all runs."]
        if seeds
        else []
    )


def seeds_in_words(rows: Sequence[InformationRow]) -> str:
    """How many seeds there are, as ``3 encoder seeds and 2 decoder seeds``; empty where there is one run."""
    counts = {kind: len({getattr(row, f"{kind}_seed") for row in rows}) for kind in ("encoder", "decoder")}
    return " and ".join(f"{n} {kind} seeds" for kind, n in counts.items() if n > 1)


def warnings_note(rows: Sequence[InformationRow], drawn: str = "Grey, hollow") -> list[str]:
    """A sentence on cells with warnings, where there are any."""
    warned = [row for row in rows if row.warnings]
    if not warned:
        return []
    names = sorted({name for row in warned for name in split_warnings(row.warnings)})
    return [
        f"{drawn}: {len(warned)} of {len(rows)} cells come with a warning ({', '.join(names).replace('_', ' ')}) "
        "and are not to be relied on."
    ]
