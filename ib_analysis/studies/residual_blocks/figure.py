"""Accuracy of plain CNN, ResNet, ResNet Init and ResNet in ResNet at equal numbers of parameters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ib_analysis.information.table import read_filled_table
from ib_analysis.plots.style import INK, LIGHT, framed, layer_colour, layer_marker
from ib_analysis.studies.residual_blocks.summary import name_of, sentence
from ib_analysis.studies.residual_blocks.table import DIFFERENCES, NETWORKS, BlockDifferenceRow, BlockRow

__all__ = ["draw"]


def draw(folder: Path) -> Iterator[tuple[str, Figure]]:
    """One figure: the accuracy of every network, equal seeds joined by lines, and the mean of every kind of block.

    Arguments:
        folder: where the study's tables lie.

    Raises:
        UserError: a table is missing, damaged or empty.
    """
    rows: list[BlockRow] = read_filled_table(folder / NETWORKS, BlockRow, "ib residual-blocks")
    differences = read_filled_table(folder / DIFFERENCES, BlockDifferenceRow, "ib residual-blocks")
    seeds = sorted({row.seed for row in rows if row.seed is not None})
    several = len(seeds) > 1
    figure, body = framed(
        "Kinds of blocks at equal numbers of parameters",
        f"Accuracy on {rows[0].n_images:,} evaluation images after {rows[0].epochs} epochs. Small, joined by lines: "
        "single seeds, which saw the same images in the same order"
        + ("; large: their means" if several else "")
        + f". Bars: {rows[0].confidence:.0%} intervals for new {'seeds and images' if several else 'images'}.",
        [
            "Pairs, in percentage points, each interval for itself: "
            + "; ".join(sentence(row) for row in differences)
            + ".",
            "Images, epochs and sizes are this experiment's: no number is to be compared with published ones.",
        ],
        body_inches=3.0,
    )
    axes = body.subplots()
    blocks = list(dict.fromkeys(row.block for row in rows))
    for index, seed in enumerate(seeds):
        own = {row.block: 100 * row.test_accuracy for row in rows if row.seed == seed}
        axes.plot(
            [place + 0.08 for place, block in enumerate(blocks) if block in own], list(own.values()),
            color=layer_colour(index), marker=layer_marker(index), markersize=3.5, linewidth=0.7, label=f"seed {seed}",
            gid="seed",
        )  # fmt: skip
    for place, block in enumerate(blocks):
        row = next(row for row in rows if row.block == block and (row.seed is None) == several)
        ends = np.array([[row.test_accuracy - row.test_accuracy_low], [row.test_accuracy_high - row.test_accuracy]])
        axes.errorbar(
            [place - 0.08], [100 * row.test_accuracy], yerr=100 * np.maximum(ends, 0), fmt="D", markersize=5.5,
            color=INK, elinewidth=1.0, capsize=3, label=None if place else ("mean" if several else "with interval"),
            gid="mean",
        )  # fmt: skip
    by_block = {row.block: row for row in rows}
    labels = [f"{name_of(block)}\n{by_block[block].parameters:,} parameters" for block in blocks]
    axes.set_xticks(range(len(blocks)), labels)
    axes.set_xlim(-0.5, len(blocks) - 0.5)
    axes.grid(axis="y", color=LIGHT, linewidth=0.5)
    axes.set_ylabel("accuracy, %")
    body.legend(loc="outside lower center", ncols=len(seeds) + 1)
    yield "residual_blocks", figure
