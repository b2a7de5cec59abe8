"""Activations of every run: dumped once, or recomputed whenever they are asked for."""

from __future__ import annotations

import torch

from ib_analysis.activations import (
    RecomputedActivations,
    StoredActivations,
    activations_artifact,
    dump_activations,
)
from ib_analysis.artifacts import Artifact
from ib_analysis.encoders import TappedNetwork
from ib_analysis.experiment import Experiment, ExperimentConfig, Run
from ib_analysis.stages.context import data_section, encoder_identities, images_of, measured_encoder
from ib_analysis.stages.workers import Progress, Unit

__all__ = ["dump_artifact", "dump_units", "open_activations"]


def dump_artifact(experiment: Experiment, run: Run) -> Artifact:
    """The record of a run's dump."""
    return activations_artifact(
        experiment.activations_path(run),
        config=_config(experiment),
        seed=run.encoder_seed,
        data_sha256=images_of(experiment).sha256,
        encoders=encoder_identities(experiment, run),
    )


def dump_units(experiment: Experiment) -> list[Unit]:
    """One unit per run whose dump is not complete; none where activations are recomputed."""
    if experiment.config.activations.mode == "recompute":
        return []
    return [
        Unit(run.key, _dump, (experiment.config, run))
        for run in experiment.runs
        if dump_artifact(experiment, run).status() != "complete"
    ]


def open_activations(experiment: Experiment, run: Run) -> StoredActivations | RecomputedActivations:
    """The run's activations, from disk or from its checkpoints: the same numbers."""
    if experiment.config.activations.mode == "dump":
        return StoredActivations(experiment.activations_path(run))
    return _recomputed(experiment, run)


def _dump(config: ExperimentConfig, run: Run, progress: Progress) -> None:
    experiment = Experiment(config)
    artifact = dump_artifact(experiment, run)
    dump_activations(
        artifact.path,
        _recomputed(experiment, run),
        config=_config(experiment),
        seed=run.encoder_seed,
        data_sha256=images_of(experiment).sha256,
        encoders=encoder_identities(experiment, run),
        progress=progress,
    )


def _recomputed(experiment: Experiment, run: Run) -> RecomputedActivations:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def load(epoch: int) -> TappedNetwork:
        return measured_encoder(experiment, run, epoch).to(device)

    return RecomputedActivations(
        load,
        images_of(experiment),
        experiment.epochs,
        experiment.config.layers,
        experiment.config.activations.group_size,
    )


def _config(experiment: Experiment) -> dict:
    """What the content of a dump depends on beside the checkpoints and the images."""
    config = experiment.config
    return {
        "layers": list(config.layers),
        "group_size": config.activations.group_size,
        "data": data_section(experiment),
        **experiment.section("encoder", "training"),
    }
