"""Accuracy of binary networks trained in one and in two steps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure

from ib_analysis.information.table import read_filled_table
from ib_analysis.plots.style import LIGHT, framed, layer_colour
from ib_analysis.studies.two_step.table import DIFFERENCE, NETWORKS, TwoStepDifferenceRow, TwoStepRow

__all__ = ["draw"]


def draw(folder: Path) -> Iterator[tuple[str, Figure]]:
    """One figure: the accuracy of every network, seeds joined by lines.

    Arguments:
        folder: where the study's tables lie.

    Raises:
        UserError: a table is missing, damaged or empty.
    """
    rows = read_filled_table(folder / NETWORKS, TwoStepRow, "ib two-step")
    (difference,) = read_filled_table(folder / DIFFERENCE, TwoStepDifferenceRow, "ib two-step")
    figure, body = framed(
        "Binary networks in one step and in two",
        f"Accuracy on {difference.n_images:,} evaluation images after {rows[0].epochs} epochs in all, of networks "
        "whose activations and weights became binary at once, or activations first. Lines join equal seeds; bars: "
        f"{difference.confidence:.0%} intervals for new images.",
        [
            f"Two steps minus one: {100 * difference.difference:.2f} percentage points "
            f"[{100 * difference.difference_low:.2f}, {100 * difference.difference_high:.2f}], interval for new "
            f"{'seeds and images' if difference.n_seeds > 1 else 'images'}."
        ],
        body_inches=2.8,
    )
    axes = body.subplots()
    for index, seed in enumerate(sorted({row.seed for row in rows})):
        own = sorted((row for row in rows if row.seed == seed), key=lambda row: row.steps)
        accuracies = [100 * row.test_accuracy for row in own]
        ends = [
            [100 * (row.test_accuracy - row.test_accuracy_low) for row in own],
            [100 * (row.test_accuracy_high - row.test_accuracy) for row in own],
        ]
        places = [row.steps + 0.04 * index for row in own]
        axes.errorbar(
            places, accuracies, yerr=ends, marker="o", markersize=4, color=layer_colour(index), linewidth=0.8,
            elinewidth=0.8, capsize=2, label=f"seed {seed}", gid="seed",
        )  # fmt: skip
    axes.set_xticks([1, 2], ["one step", "two steps"])
    axes.set_xlim(0.6, 2.6)
    axes.grid(axis="y", color=LIGHT, linewidth=0.5)
    axes.set_ylabel("accuracy, %")
    axes.legend(frameon=False)
    yield "two_step", figure
