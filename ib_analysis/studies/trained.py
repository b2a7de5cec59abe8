"""A network that a study trains beside the experiment's own: from its run to what it says of every image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ib_analysis.data import ImageData, Space
from ib_analysis.encoders import TappedNetwork
from ib_analysis.engines.local import Progress
from ib_analysis.experiment import Experiment, Run
from ib_analysis.records.encoders import course_of, initial_encoder
from ib_analysis.records.images import images_of
from ib_analysis.studies.judge import judge
from ib_analysis.training import is_complete, load_encoder, train

__all__ = ["is_trained", "trained", "trained_and_judged"]


def is_trained(experiment: Experiment, seed: int, folder: Path, recipe: dict[str, Any]) -> bool:
    """Whether a network's last checkpoint is there, made by this recipe from these images."""
    epochs = [experiment.config.training.epochs]
    return is_complete(folder, epochs, recipe=recipe, data_sha256=images_of(experiment).sha256, seed=seed)


def trained(
    experiment: Experiment,
    run: Run,
    seed: int,
    folder: Path,
    recipe: dict[str, Any],
    progress: Progress,
    data: ImageData | None = None,
) -> TappedNetwork:
    """Train a network, or go on where its training was interrupted, and return it as its last checkpoint has it.

    Arguments:
        experiment: whose network and training are used.
        run: number format and task.
        seed: of the order of images and of augmentation.
        folder: of its checkpoints.
        recipe: recorded with them.
        progress: told of every epoch.
        data: what it is trained on; None: the experiment's images.

    Returns:
        In evaluation mode, on the GPU if there is one.
    """
    data = images_of(experiment) if data is None else data
    space = Space(data.image_shape, data.intensities, len(data.class_names))
    encoder, training = initial_encoder(experiment, run, space, len(data.encoder)), experiment.config.training
    train(
        encoder, run.trained_for, data, training, seed=seed, folder=folder, recipe=recipe,
        course=course_of(experiment, run), progress=progress,
    )  # fmt: skip
    load_encoder(folder, training.epochs, encoder)
    return encoder.to("cuda" if torch.cuda.is_available() else "cpu")


def trained_and_judged(
    experiment: Experiment, run: Run, seed: int, folder: Path, recipe: dict[str, Any], progress: Progress
) -> dict[str, np.ndarray]:
    """Train a classifier of the experiment's images (see `trained`) and judge its last checkpoint.

    Returns:
        train_correct and test_correct (uint8, 0 or 1), train_loss_bits and test_loss_bits (float32), each (images,).
    """
    data, encoder = images_of(experiment), trained(experiment, run, seed, folder, recipe, progress)
    arrays = {}
    for name, split in (("train", data.encoder), ("test", data.evaluation)):
        arrays[f"{name}_correct"], arrays[f"{name}_loss_bits"] = judge(encoder, split)
    return arrays
