"""Train both arms, and keep what each network says of every image."""

from __future__ import annotations

import time

import torch

from ib_analysis.engines.choose import engine_for
from ib_analysis.engines.local import Progress, Unit, clear_remains, exclusive
from ib_analysis.experiment import Experiment, ExperimentConfig
from ib_analysis.records.arrays import save_arrays
from ib_analysis.records.encoders import course_of, new_encoder
from ib_analysis.records.images import images_of
from ib_analysis.studies.cost_quality.evaluate import judge
from ib_analysis.studies.two_step.config import TwoStepConfig
from ib_analysis.studies.two_step.plan import Arm, TwoStep
from ib_analysis.training import is_complete, load_encoder, train

__all__ = ["run_missing"]


def run_missing(study: TwoStep) -> None:
    """Train and evaluate every network that is not complete.

    Raises:
        UserError: another process is at work on this study, another config made its artifacts, the disk is full.
    """
    with exclusive(study.folder / ".lock", str(study.folder)):
        clear_remains(study.folder)
        units = [
            Unit(f"two_step/{arm.key}", _train_and_judge, (study.experiment.config, study.settings, arm))
            for arm in study.arms
            if not _done(study, arm)
        ]
        with engine_for(study.experiment, folder=study.folder) as engine:
            engine.run("train", units)


def _done(study: TwoStep, arm: Arm) -> bool:
    trained = is_complete(
        study.encoder_folder(arm),
        [study.experiment.config.training.epochs],
        recipe=study.recipe(arm),
        data_sha256=images_of(study.experiment).sha256,
        seed=arm.seed,
    )
    return trained and study.evaluation_artifact(arm).status() == "complete"


def _train_and_judge(config: ExperimentConfig, settings: TwoStepConfig, arm: Arm, progress: Progress) -> None:
    started = time.perf_counter()
    study = TwoStep(Experiment(config), settings)
    experiment, folder = study.experiment_of(arm), study.encoder_folder(arm)
    data, encoder = images_of(experiment), new_encoder(experiment, arm.run)
    train(
        encoder,
        arm.run.trained_for,
        data,
        experiment.config.training,
        seed=arm.seed,
        folder=folder,
        recipe=study.recipe(arm),
        course=course_of(experiment, arm.run),
        progress=progress,
    )
    load_encoder(folder, experiment.config.training.epochs, encoder)
    encoder.to("cuda" if torch.cuda.is_available() else "cpu")
    artifact = study.evaluation_artifact(arm)
    artifact.begin()
    arrays = {}
    for name, split in (("train", data.encoder), ("test", data.evaluation)):
        arrays[f"{name}_correct"], arrays[f"{name}_loss_bits"] = judge(encoder, split)
    save_arrays(artifact, arrays, seconds=time.perf_counter() - started)
