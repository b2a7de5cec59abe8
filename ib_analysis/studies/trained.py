"""A network that a study trains beside the experiment's own: from its run to what it says of every image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ib_analysis.engines.local import Progress
from ib_analysis.experiment import Experiment, Run
from ib_analysis.records.encoders import course_of, new_encoder
from ib_analysis.records.images import images_of
from ib_analysis.studies.judge import judge
from ib_analysis.training import is_complete, load_encoder, train

__all__ = ["is_trained", "trained_and_judged"]


def is_trained(experiment: Experiment, seed: int, folder: Path, recipe: dict[str, Any]) -> bool:
    """Whether a network's last checkpoint is there, made by this recipe from these images."""
    epochs = [experiment.config.training.epochs]
    return is_complete(folder, epochs, recipe=recipe, data_sha256=images_of(experiment).sha256, seed=seed)


def trained_and_judged(
    experiment: Experiment, run: Run, seed: int, folder: Path, recipe: dict[str, Any], progress: Progress
) -> dict[str, np.ndarray]:
    """Train a classifier, or go on where its training was interrupted, and judge its last checkpoint.

    Arguments:
        experiment: whose images, network and training are used.
        run: number format and task.
        seed: of the network.
        folder: of its checkpoints.
        recipe: recorded with them.
        progress: told of every epoch.

    Returns:
        train_correct and test_correct (uint8, 0 or 1), train_loss_bits and test_loss_bits (float32), each (images,).
    """
    data, encoder, training = images_of(experiment), new_encoder(experiment, run), experiment.config.training
    train(
        encoder, run.trained_for, data, training, seed=seed, folder=folder, recipe=recipe,
        course=course_of(experiment, run), progress=progress,
    )  # fmt: skip
    load_encoder(folder, training.epochs, encoder)
    encoder.to("cuda" if torch.cuda.is_available() else "cpu")
    arrays = {}
    for name, split in (("train", data.encoder), ("test", data.evaluation)):
        arrays[f"{name}_correct"], arrays[f"{name}_loss_bits"] = judge(encoder, split)
    return arrays
