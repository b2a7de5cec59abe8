"""Activations of every run: dumped once, or recomputed whenever they are asked for."""

from __future__ import annotations

from ib_analysis.activations import dump_activations
from ib_analysis.engines.local import Progress, Unit
from ib_analysis.experiment import Experiment, ExperimentConfig, Run
from ib_analysis.records.activations import activations_config, dump_artifact, recomputed
from ib_analysis.records.encoders import encoder_identities
from ib_analysis.records.images import images_of

__all__ = ["dump_units"]


def dump_units(experiment: Experiment) -> list[Unit]:
    """One unit per run whose dump is not complete; none where activations are recomputed."""
    if experiment.config.activations.mode == "recompute":
        return []
    return [
        Unit(run.key, _dump, (experiment.config, run))
        for run in experiment.runs
        if dump_artifact(experiment, run).status() != "complete"
    ]


def _dump(config: ExperimentConfig, run: Run, progress: Progress) -> None:
    experiment = Experiment(config)
    artifact = dump_artifact(experiment, run)
    dump_activations(
        artifact.path,
        recomputed(experiment, run),
        config=activations_config(experiment),
        seed=run.encoder_seed,
        data_sha256=images_of(experiment).sha256,
        encoders=encoder_identities(experiment, run),
        progress=progress,
    )
