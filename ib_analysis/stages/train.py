"""Train the encoders: one per task and seed."""

from __future__ import annotations

from ib_analysis.engines.local import Progress, Unit
from ib_analysis.experiment import Experiment, ExperimentConfig, Run
from ib_analysis.records.encoders import encoder_recipe, new_encoder
from ib_analysis.records.images import images_of
from ib_analysis.training import is_complete, train

__all__ = ["train_units"]


def train_units(experiment: Experiment) -> list[Unit]:
    """One unit per encoder of which a checkpoint or the history is missing."""
    return [
        Unit(run.key, _train, (experiment.config, run))
        for run in experiment.runs
        if not is_complete(
            experiment.encoder_folder(run),
            experiment.epochs,
            recipe=encoder_recipe(experiment, run),
            data_sha256=images_of(experiment).sha256,
            seed=run.encoder_seed,
        )
    ]


def _train(config: ExperimentConfig, run: Run, progress: Progress) -> None:
    experiment = Experiment(config)
    train(
        new_encoder(experiment, run),
        run.task,
        images_of(experiment),
        config.training,
        seed=run.encoder_seed,
        folder=experiment.encoder_folder(run),
        recipe=encoder_recipe(experiment, run),
        progress=progress,
    )
