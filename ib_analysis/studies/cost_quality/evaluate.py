"""Train the networks of the grid, and keep what each says of every image."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from ib_analysis.artifacts import UserError
from ib_analysis.engines.choose import engine_for
from ib_analysis.engines.local import Progress, Unit, clear_remains, exclusive
from ib_analysis.experiment import Experiment, ExperimentConfig
from ib_analysis.hdf5 import read_hdf5, write_hdf5
from ib_analysis.studies.cost_quality.config import CostQualityConfig
from ib_analysis.studies.cost_quality.plan import CostQuality, Network
from ib_analysis.studies.trained import is_trained, trained_and_judged

__all__ = ["read_evaluation", "run_missing"]


def run_missing(study: CostQuality) -> None:
    """Train and evaluate every network that is not complete.

    Raises:
        UserError: another process is at work on this study, another config made its artifacts, the disk is full.
    """
    with exclusive(study.folder / ".lock", str(study.folder)):
        clear_remains(study.folder)
        with engine_for(study.experiment, folder=study.folder) as engine:
            engine.run("train", _units(study, [network for network in study.networks if not _done(study, network)]))


def read_evaluation(study: CostQuality, network: Network) -> dict[str, np.ndarray]:
    """What one network says of every image: train_correct and test_correct (uint8, 0 or 1), train_loss_bits and
    test_loss_bits (float32), each of shape (images,).

    Raises:
        UserError: it is not there yet, or cannot be read.
    """
    path = study.evaluation_artifact(network).path
    try:
        with read_hdf5(path) as file:
            return {name: file[name][()] for name in file}
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error}); delete it and run `ib cost-quality` again.") from error


def _done(study: CostQuality, network: Network) -> bool:
    trained = is_trained(study.experiment, network.seed, study.encoder_folder(network), study.recipe(network))
    return trained and study.evaluation_artifact(network).status() == "complete"


def _units(study: CostQuality, networks: Sequence[Network]) -> list[Unit]:
    return [
        Unit(f"cost_quality/{network.key}", _train_and_judge, (study.experiment.config, study.settings, network))
        for network in networks
    ]


def _train_and_judge(
    config: ExperimentConfig, settings: CostQualityConfig, network: Network, progress: Progress
) -> None:
    started = time.perf_counter()
    study = CostQuality(Experiment(config), settings)
    experiment, folder = study.experiment_of(network), study.encoder_folder(network)
    arrays = trained_and_judged(experiment, network.run, network.seed, folder, study.recipe(network), progress)
    artifact = study.evaluation_artifact(network)
    artifact.begin()
    with write_hdf5(artifact.path) as file:
        for name, values in arrays.items():
            file[name] = values
    artifact.finish(seconds=time.perf_counter() - started)
