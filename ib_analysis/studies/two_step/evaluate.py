"""Train both arms, and keep what each network says of every image."""

from __future__ import annotations

import time

from ib_analysis.engines.choose import engine_for
from ib_analysis.engines.local import Progress, Unit, clear_remains, exclusive
from ib_analysis.experiment import Experiment, ExperimentConfig
from ib_analysis.records.arrays import save_arrays
from ib_analysis.studies.trained import is_trained, trained_and_judged
from ib_analysis.studies.two_step.config import TwoStepConfig
from ib_analysis.studies.two_step.plan import Arm, TwoStep

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
    trained = is_trained(study.experiment, arm.seed, study.encoder_folder(arm), study.recipe(arm))
    return trained and study.evaluation_artifact(arm).status() == "complete"


def _train_and_judge(config: ExperimentConfig, settings: TwoStepConfig, arm: Arm, progress: Progress) -> None:
    started = time.perf_counter()
    study = TwoStep(Experiment(config), settings)
    experiment, folder = study.experiment_of(arm), study.encoder_folder(arm)
    arrays = trained_and_judged(experiment, arm.run, arm.seed, folder, study.recipe(arm), progress)
    artifact = study.evaluation_artifact(arm)
    artifact.begin()
    save_arrays(artifact, arrays, seconds=time.perf_counter() - started)
