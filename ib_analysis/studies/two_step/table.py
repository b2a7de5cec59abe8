"""From what every network says of every image to ``two_step.csv`` and ``two_step_difference.csv``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ib_analysis.information.intervals import Interval, paired_bootstrap_interval
from ib_analysis.information.table import read_table, write_table
from ib_analysis.studies.paired_accuracy import paired_difference, verdict_of
from ib_analysis.studies.two_step.plan import Arm, TwoStep

__all__ = ["DIFFERENCE", "NETWORKS", "TwoStepDifferenceRow", "TwoStepRow", "tabulate"]

NETWORKS, DIFFERENCE = "two_step.csv", "two_step_difference.csv"
_BOTH: tuple[Literal[1, 2], ...] = (1, 2)


@dataclass(frozen=True)
class TwoStepRow:
    """One binary classifier."""

    experiment: str
    """Name of the experiment."""
    steps: int
    """1: activations and weights were binary from the beginning; 2: weights after the activations."""
    seed: int
    """Of initialisation, order and augmentation; both ways begin with the same weights."""
    epochs: int
    """Passes over the training images, in all steps together."""
    test_accuracy: float
    """Share of evaluation images that are classified right."""
    test_accuracy_low: float
    """Lower end of its interval over images."""
    test_accuracy_high: float
    """Upper end of its interval."""
    train_accuracy: float
    """The same on training images, without augmentation."""
    test_loss_bits: float
    """Cross-entropy on evaluation images."""
    train_loss_bits: float
    """Cross-entropy on training images."""


@dataclass(frozen=True)
class TwoStepDifferenceRow:
    """Accuracy of two steps minus that of one, paired by seed and image."""

    experiment: str
    """Name of the experiment."""
    n_seeds: int
    """Seeds that both were trained with."""
    n_images: int
    """Evaluation images."""
    confidence: float
    """Level of the interval."""
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
    """better, worse, or undecided where the interval holds 0; `one_seed` where the spread of seeds is not known."""


def tabulate(study: TwoStep) -> tuple[list[TwoStepRow], TwoStepDifferenceRow]:
    """Write the tables unless they are there and made of the same evaluations; return their rows.

    Raises:
        UserError: something is not evaluated yet.
    """
    networks, difference = study.table_artifact(NETWORKS), study.table_artifact(DIFFERENCE)
    if any(artifact.status() != "complete" for artifact in (networks, difference)):
        found = {arm: network.arrays() for arm, network in study.networks.items()}
        networks.begin()
        difference.begin()
        write_table(networks.path, TwoStepRow, [_row(study, arm, arrays) for arm, arrays in found.items()])
        write_table(difference.path, TwoStepDifferenceRow, [_difference(study, found)])
        networks.finish()
        difference.finish()
    return read_table(networks.path, TwoStepRow), read_table(difference.path, TwoStepDifferenceRow)[0]


def _interval(study: TwoStep, values: np.ndarray) -> Interval:
    return paired_bootstrap_interval(values, study.settings.confidence, study.settings.resamples)


def _row(study: TwoStep, arm: Arm, arrays: dict[str, np.ndarray]) -> TwoStepRow:
    accuracy = _interval(study, arrays["test_correct"])
    config = study.experiment.config
    return TwoStepRow(
        experiment=config.name,
        steps=arm.steps,
        seed=arm.seed,
        epochs=config.training.epochs,
        test_accuracy=accuracy.estimate,
        test_accuracy_low=accuracy.low,
        test_accuracy_high=accuracy.high,
        train_accuracy=float(arrays["train_correct"].mean()),
        test_loss_bits=float(arrays["test_loss_bits"].mean()),
        train_loss_bits=float(arrays["train_loss_bits"].mean()),
    )


def _difference(study: TwoStep, found: dict[Arm, dict[str, np.ndarray]]) -> TwoStepDifferenceRow:
    settings = study.settings
    one, two = ({seed: found[Arm(steps, seed)]["test_correct"] for seed in settings.seeds} for steps in _BOTH)
    spread = paired_difference(two, one, settings.confidence, settings.resamples)
    return TwoStepDifferenceRow(
        experiment=study.experiment.config.name,
        n_seeds=len(settings.seeds),
        n_images=len(one[settings.seeds[0]]),
        confidence=settings.confidence,
        difference=spread.mean.estimate,
        difference_low=spread.mean.low,
        difference_high=spread.mean.high,
        lowest=spread.lowest,
        highest=spread.highest,
        verdict=verdict_of(spread, len(settings.seeds)),
    )
