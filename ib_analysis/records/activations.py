"""The activations of an experiment's runs: dumped, or recomputed whenever they are asked for."""

from __future__ import annotations

import torch

from ib_analysis.activations import (
    FiledActivations,
    RecomputedActivations,
    StoredActivations,
    UnkeptActivations,
    activations_artifact,
)
from ib_analysis.artifacts import Artifact
from ib_analysis.encoders import TappedNetwork
from ib_analysis.experiment import Experiment, Run
from ib_analysis.records.encoders import encoder_identities, measured_encoder
from ib_analysis.records.images import data_section, images_of

__all__ = ["activations_config", "dump_artifact", "open_activations", "recomputed"]


def dump_artifact(experiment: Experiment, run: Run) -> Artifact:
    """The record of a run's dump."""
    return activations_artifact(
        experiment.activations_path(run),
        config=activations_config(experiment),
        seed=run.encoder_seed,
        data_sha256=images_of(experiment).sha256,
        encoders=encoder_identities(experiment, run),
    )


def open_activations(experiment: Experiment, run: Run) -> StoredActivations | UnkeptActivations:
    """The run's activations, from disk, from its checkpoints or from the user's file: the same numbers."""
    if experiment.config.activations.mode == "dump":
        return StoredActivations(experiment.activations_path(run))
    return recomputed(experiment, run)


def recomputed(experiment: Experiment, run: Run) -> UnkeptActivations:
    """The run's activations, made again from its checkpoints, or read where they lie in the user's file."""
    contents = experiment.contents
    if contents is not None:
        settings = experiment.config.activations
        return FiledActivations(
            contents, images_of(experiment), experiment.layers, settings.group_size, settings.storage
        )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def load(epoch: int) -> TappedNetwork:
        return measured_encoder(experiment, run, epoch).to(device)

    return RecomputedActivations(
        load,
        images_of(experiment),
        experiment.epochs,
        experiment.layers,
        experiment.config.activations.group_size,
        experiment.config.activations.storage,
    )


def activations_config(experiment: Experiment) -> dict:
    """What the content of a dump depends on beside the checkpoints and the images."""
    config = experiment.config
    made_by = {} if experiment.contents is not None else experiment.section("encoder", "training")
    return {
        "layers": list(experiment.layers),
        "group_size": config.activations.group_size,
        **experiment.storage,
        "data": data_section(experiment),
        **made_by,
    }
