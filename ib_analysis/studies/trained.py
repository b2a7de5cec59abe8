"""A network that a study trains beside the experiment's own: from its run to what it says of every image."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ib_analysis.artifacts import Artifact
from ib_analysis.data import ImageData, Space
from ib_analysis.encoders import TappedNetwork
from ib_analysis.engines.choose import engine_for
from ib_analysis.engines.local import Progress, Unit, clear_remains, exclusive
from ib_analysis.experiment import Experiment, ExperimentConfig, Run
from ib_analysis.experiment_config import without_layers
from ib_analysis.records.arrays import load_arrays, save_arrays
from ib_analysis.records.encoders import course_of, encoder_recipe, initial_encoder
from ib_analysis.records.images import images_of
from ib_analysis.studies.judge import judge
from ib_analysis.training import checkpoint_artifact, is_complete, load_encoder, train

__all__ = ["StudyClassifier", "is_trained", "train_missing", "trained", "trained_and_judged"]


@dataclass(frozen=True)
class StudyClassifier:
    """One classifier of a study, and where it and what it says of every image lie.

    Arguments:
        config: of an experiment whose only run it is; see `of`.
        study: names the study's folder.
        key: names the network in the study.
    """

    config: ExperimentConfig
    study: str
    key: str

    @classmethod
    def of(
        cls, config: ExperimentConfig, study: str, key: str, number_format: str, seed: int, **changes: Any
    ) -> StudyClassifier:
        """The classifier of an experiment's images and training, of which the last epoch alone is kept.

        Arguments:
            config: of the experiment.
            seed: of the network.
            changes: fields of the config that are others for this network.
        """
        own = dataclasses.replace(
            without_layers(config),
            tasks=("classification",),
            number_formats=(number_format,),
            encoder_seeds=(seed,),
            training=dataclasses.replace(config.training, checkpoints=()),
            **changes,
        )
        return cls(own, study, key)

    @property
    def seed(self) -> int:
        """Of initialisation, order and augmentation."""
        return self.config.encoder_seeds[0]

    @property
    def run(self) -> Run:
        """Task, format and seed, as the stages know them."""
        return Run("classification", self.config.number_formats[0], self.seed)

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment with this run alone."""
        return Experiment(self.config)

    @property
    def folder(self) -> Path:
        """Of its checkpoints."""
        return self.experiment.folder / "studies" / self.study / "encoders" / self.key

    @property
    def recipe(self) -> dict[str, Any]:
        """Everything chosen by the user that the weights depend on."""
        return encoder_recipe(self.experiment, self.run)

    @property
    def evaluation(self) -> Artifact:
        """The record of correctness and loss of every image."""
        sha256 = images_of(self.experiment).sha256
        encoder = checkpoint_artifact(
            self.folder, self.config.training.epochs, recipe=self.recipe, data_sha256=sha256, seed=self.seed
        )
        path = self.folder.parents[1] / "evaluations" / f"{self.key}.npz"
        inputs = {"encoder": encoder.identity, "data": sha256}
        return Artifact(path, f"{self.study}_evaluation", self.recipe, inputs, self.seed, "evaluation")

    def is_done(self) -> bool:
        """Whether it is trained and judged."""
        trained = is_trained(self.experiment, self.seed, self.folder, self.recipe)
        return trained and self.evaluation.status() == "complete"

    def arrays(self) -> dict[str, np.ndarray]:
        """What `trained_and_judged` found.

        Raises:
            UserError: it is not judged yet.
        """
        return load_arrays(self.evaluation)


def train_missing(experiment: Experiment, folder: Path, networks: Sequence[StudyClassifier]) -> None:
    """Train and judge every network of a study that is not complete.

    Arguments:
        experiment: whose processes are used.
        folder: of the study.

    Raises:
        UserError: another process is at work on this study, another config made its artifacts, the disk is full.
    """
    with exclusive(folder / ".lock", str(folder)):
        clear_remains(folder)
        missing = [network for network in networks if not network.is_done()]
        units = [Unit(f"{one.study}/{one.key}", _train_and_judge, (one.config, one.study, one.key)) for one in missing]
        with engine_for(experiment, folder=folder) as engine:
            engine.run("train", units)


def _train_and_judge(config: ExperimentConfig, study: str, key: str, progress: Progress) -> None:
    started, network = time.perf_counter(), StudyClassifier(config, study, key)
    arrays = trained_and_judged(network.experiment, network.run, network.seed, network.folder, network.recipe, progress)
    artifact = network.evaluation
    artifact.begin()
    save_arrays(artifact, arrays, seconds=time.perf_counter() - started)


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
