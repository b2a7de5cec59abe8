"""What the front for one device is worth on another: a matrix of regrets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ib_analysis.information.table import read_filled_table
from ib_analysis.plots.style import INK, framed
from ib_analysis.studies.architecture_search.rows import MethodRow, TransferRow

__all__ = ["best_method", "draw"]


def best_method(rows: Sequence[MethodRow]) -> str:
    """The method with the largest hypervolume ratio, in the mean over problems."""
    ratios: dict[str, list[float]] = {}
    for row in rows:
        ratios.setdefault(row.method, []).append(row.hypervolume_ratio or 0.0)
    return max(ratios, key=lambda method: float(np.mean(ratios[method])))


def draw(table: Path, methods: Path, n_seeds: int) -> Iterator[tuple[str, Figure]]:
    """One figure: exact fronts, and those that the best method found.

    Arguments:
        table: ``transfer.csv``.
        methods: ``architecture_search.csv``, which tells the best method.
        n_seeds: searches that a number of the second matrix is the mean of.

    Raises:
        UserError: a table is missing, damaged or empty.
    """
    rows = read_filled_table(table, TransferRow, "ib search")
    best = best_method(read_filled_table(methods, MethodRow, "ib search"))
    exact = [row for row in rows if row.method == "exact"]
    targets = list(dict.fromkeys(row.target for row in exact))
    parts = {"exact fronts": exact}
    notes = ["An exact front is worth on its own device all that there is: 0."]
    if found := [row for row in rows if row.method == best]:  # none where no searched cost is among the devices
        parts[f"fronts found by {best}"] = found
        notes.append(
            f"{best} is the method with the largest mean hypervolume; "
            + (f"means over {n_seeds} searches." if n_seeds > 1 else "one search.")
        )
    counts = [len({row.source for row in part}) for part in parts.values()]
    figure, body = framed(
        "Fronts on other devices",
        "Regret: per cent of a device's exact hypervolume that the front for another device lacks on it. "
        "Rows: the device that the front is for; columns: the device by which it is judged.",
        notes,
        body_inches=0.27 * sum(counts) + 0.45 * len(counts) + 1.2,
    )
    grid = body.subplots(len(parts), 1, sharex=True, squeeze=False, height_ratios=counts)[:, 0]
    most = max(row.regret for part in parts.values() for row in part)
    for axes, (title, part) in zip(grid, parts.items(), strict=True):
        _matrix(axes, part, targets, most)
        axes.set_title(title)
    grid[-1].set_xticks(range(len(targets)), targets, rotation=35, ha="right", rotation_mode="anchor")
    yield "transfer", figure


def _matrix(axes: Axes, rows: Sequence[TransferRow], targets: Sequence[str], most: float) -> None:
    sources = list(dict.fromkeys(row.source for row in rows))
    values = np.full((len(sources), len(targets)), np.nan)
    for row in rows:
        values[sources.index(row.source), targets.index(row.target)] = 100 * row.regret
    axes.imshow(values, cmap="Blues", vmin=0, vmax=100 * most or 1.0, aspect="auto")
    for (i, k), value in np.ndenumerate(values):
        dark = value > 60 * most  # where ink would not be read
        axes.text(k, i, f"{value:.1f}", ha="center", va="center", fontsize=8, color="white" if dark else INK)
    axes.set_yticks(range(len(sources)), sources)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
