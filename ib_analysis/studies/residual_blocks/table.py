"""From what every network says of every image to ``residual_blocks.csv`` and ``residual_blocks_differences.csv``."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ib_analysis.encoders.config import BLOCKS, Block
from ib_analysis.information.intervals import Interval, paired_bootstrap_interval
from ib_analysis.information.seed_spread import spread_over_seeds
from ib_analysis.information.table import read_table, write_table
from ib_analysis.studies.paired_accuracy import paired_difference, verdict_of
from ib_analysis.studies.residual_blocks.plan import Member, ResidualBlocks

__all__ = ["DIFFERENCES", "NETWORKS", "BlockDifferenceRow", "BlockRow", "difference_rows", "tabulate"]

NETWORKS, DIFFERENCES = "residual_blocks.csv", "residual_blocks_differences.csv"


@dataclass(frozen=True)
class BlockRow:
    """Classifiers of one kind of block: of one seed, or the mean over seeds."""

    experiment: str
    """Name of the experiment."""
    block: str
    """plain, resnet, resnet_init or rir."""
    seed: int | None
    """Of initialisation, order and augmentation; empty in a row over seeds."""
    n_seeds: int
    """Seeds that the row is over."""
    parameters: int
    """Trained numbers of the network."""
    widths: str
    """Filters of the three stages, joined by semicolons; of both streams together where there are two."""
    epochs: int
    """Passes over the training images."""
    n_images: int
    """Evaluation images."""
    test_accuracy: float
    """Share of evaluation images that are classified right."""
    test_accuracy_low: float
    """Lower end of its interval: over images, in a row over seeds a t-interval over seeds and that in quadrature."""
    test_accuracy_high: float
    """Upper end of its interval."""
    train_accuracy: float
    """The same on training images, without augmentation."""
    test_loss_bits: float
    """Cross-entropy on evaluation images."""
    train_loss_bits: float
    """Cross-entropy on training images."""
    confidence: float
    """Level of the interval."""


@dataclass(frozen=True)
class BlockDifferenceRow:
    """Accuracy of one kind of block minus that of another, paired by seed and image."""

    experiment: str
    """Name of the experiment."""
    first: str
    """The kind of block whose accuracy counts as it is."""
    second: str
    """The kind whose accuracy is taken from it."""
    n_seeds: int
    """Seeds that both were trained with."""
    n_images: int
    """Evaluation images."""
    confidence: float
    """Level of the interval, of this difference alone."""
    difference: float
    """Mean over seeds."""
    difference_low: float
    """Lower end of its interval: a t-interval over seeds and that over images in quadrature; with one seed over images
    alone."""
    difference_high: float
    """Upper end of its interval."""
    lowest: float
    """Least difference of a seed."""
    highest: float
    """Greatest difference of a seed."""
    verdict: str
    """What is said of the first: better, worse, or undecided where the interval holds 0; `one_seed` where the spread of
    seeds is not known."""


def tabulate(study: ResidualBlocks) -> tuple[list[BlockRow], list[BlockDifferenceRow]]:
    """Write the tables unless they are there and made of the same evaluations; return their rows.

    Raises:
        UserError: something is not evaluated yet.
    """
    networks, differences = study.table_artifact(NETWORKS), study.table_artifact(DIFFERENCES)
    if any(artifact.status() != "complete" for artifact in (networks, differences)):
        found = {member: network.arrays() for member, network in study.networks.items()}
        networks.begin()
        differences.begin()
        write_table(networks.path, BlockRow, [row for block in BLOCKS for row in _rows(study, block, found)])
        right = {member: arrays["test_correct"] for member, arrays in found.items()}
        settings, name = study.settings, study.experiment.config.name
        rows = difference_rows(name, right, settings.confidence, settings.resamples)
        write_table(differences.path, BlockDifferenceRow, rows)
        networks.finish()
        differences.finish()
    return read_table(networks.path, BlockRow), read_table(differences.path, BlockDifferenceRow)


def difference_rows(
    experiment: str, right: dict[Member, np.ndarray], confidence: float, resamples: int
) -> list[BlockDifferenceRow]:
    """Every kind of block against those before it in `BLOCKS`.

    Arguments:
        experiment: its name.
        right: network -> shape (N,), 0 or 1: whether it is right about each evaluation image.
        confidence: level of each interval.
        resamples: of the bootstrap over images.
    """
    rows = []
    for second, first in combinations(BLOCKS, 2):
        a, b = ({member.seed: values for member, values in right.items() if member.block == block}
                for block in (first, second))  # fmt: skip
        spread = paired_difference(a, b, confidence, resamples)
        rows.append(
            BlockDifferenceRow(
                experiment=experiment,
                first=first,
                second=second,
                n_seeds=len(a),
                n_images=len(next(iter(a.values()))),
                confidence=confidence,
                difference=spread.mean.estimate,
                difference_low=spread.mean.low,
                difference_high=spread.mean.high,
                lowest=spread.lowest,
                highest=spread.highest,
                verdict=verdict_of(spread, len(a)),
            )
        )
    return rows


def _rows(study: ResidualBlocks, block: Block, found: dict[Member, dict[str, np.ndarray]]) -> list[BlockRow]:
    """The rows of one kind of block: of every seed, and over them where there are several."""
    settings = study.settings
    own = {member.seed: arrays for member, arrays in found.items() if member.block == block}
    accuracies = {
        seed: paired_bootstrap_interval(arrays["test_correct"], settings.confidence, settings.resamples)
        for seed, arrays in own.items()
    }
    rows = [_row(study, block, seed, accuracies[seed], [arrays]) for seed, arrays in own.items()]
    if len(own) > 1:
        spread = spread_over_seeds({(seed, 0): found for seed, found in accuracies.items()}, settings.confidence)
        rows.append(_row(study, block, None, spread.mean, list(own.values())))
    return rows


def _row(
    study: ResidualBlocks, block: Block, seed: int | None, accuracy: Interval, of: list[dict[str, np.ndarray]]
) -> BlockRow:
    def mean(name: str) -> float:
        return float(np.mean([arrays[name].mean() for arrays in of]))

    config = study.experiment.config
    return BlockRow(
        experiment=config.name,
        block=block,
        seed=seed,
        n_seeds=len(of),
        parameters=study.parameters[block],
        widths=";".join(map(str, study.encoders[block].stage_widths)),
        epochs=config.training.epochs,
        n_images=len(of[0]["test_correct"]),
        test_accuracy=accuracy.estimate,
        test_accuracy_low=accuracy.low,
        test_accuracy_high=accuracy.high,
        train_accuracy=mean("train_correct"),
        test_loss_bits=mean("test_loss_bits"),
        train_loss_bits=mean("train_loss_bits"),
        confidence=study.settings.confidence,
    )
