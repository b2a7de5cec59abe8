"""Train the final front by the ordinary stage of its experiments, and judge it on the test images, once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ib_analysis.artifacts import Artifact, write_text
from ib_analysis.engines.choose import engine_for
from ib_analysis.engines.local import clear_remains, exclusive
from ib_analysis.experiment import Experiment, Run
from ib_analysis.records.arrays import load_arrays, save_arrays
from ib_analysis.records.encoders import encoder_at, encoder_identities, encoder_recipe
from ib_analysis.records.images import images_of
from ib_analysis.stages.prepare import prepare
from ib_analysis.stages.train import train_units
from ib_analysis.studies.judge import judge
from ib_analysis.studies.network_search.config import LATENCY
from ib_analysis.studies.network_search.execution import runnable
from ib_analysis.studies.network_search.front import Member, member_config
from ib_analysis.studies.network_search.measured import ALGORITHM, images_for, measured
from ib_analysis.studies.network_search.plan import NetworkSearch

__all__ = ["correct_images", "final_timings", "train_final"]


def train_final(search: NetworkSearch, members: Sequence[Member]) -> None:
    """Train every network of the front from all seeds, and evaluate it; what is complete is left alone.

    The networks are those of ordinary experiments, in whose folders they lie: `ib figures` goes on from them.
    """
    experiments = {member: Experiment(member_config(search, member)) for member in members}
    with contextlib.ExitStack() as held:
        units = []
        for experiment in experiments.values():
            held.enter_context(exclusive(experiment.folder / ".lock", str(experiment.folder)))
            clear_remains(experiment.folder)
            prepare(experiment)
            units += train_units(experiment)
        with engine_for(search.experiment, folder=search.folder) as engine:
            engine.run("train", units)
    for experiment in experiments.values():
        for run in experiment.runs:
            artifact = _evaluation(search, experiment, run)
            if artifact.status() != "complete":
                artifact.begin()
                correct, loss_bits = judge(
                    encoder_at(experiment, run, experiment.epochs[-1]), images_of(experiment).evaluation
                )
                save_arrays(artifact, {"correct": correct, "loss_bits": loss_bits})


def correct_images(search: NetworkSearch, member: Member) -> np.ndarray:
    """Shape (seeds, test images), 0 or 1: whether the network of each seed is right."""
    experiment = Experiment(member_config(search, member))
    found = [load_arrays(_evaluation(search, experiment, run))["correct"] for run in experiment.runs]
    return np.stack(found)


def final_timings(search: NetworkSearch, members: Sequence[Member]) -> dict[str, dict[str, Any]]:
    """Time of the front's trained networks, all by turns with each other: name of a member -> its `Timing`.

    Empty where the search does not measure time. Kept in ``final_timings.json``.
    """
    if LATENCY not in search.measured:
        return {}
    settings, experiments = search.settings, [Experiment(member_config(search, member)) for member in members]
    inputs = {
        member.name: encoder_identities(experiment, experiment.runs[0])[experiment.epochs[-1]]
        for member, experiment in zip(members, experiments, strict=True)
    }
    inputs["timing"] = f"algorithm {ALGORITHM}"
    artifact = Artifact(search.folder / "final_timings.json", "final_timings", search.recipe_of_search(), inputs)
    if artifact.status() != "complete":
        networks = {
            member.name: runnable(
                experiment.config, settings.latency_threads, settings.device,
                encoder_at(experiment, experiment.runs[0], experiment.epochs[-1]),
            )
            for member, experiment in zip(members, experiments, strict=True)
        }  # fmt: skip
        timings = measured(networks, images_for(experiments[0].config, settings), settings)
        artifact.begin()
        write_text(artifact.path, json.dumps({name: asdict(one) for name, one in timings.items()}, indent=1) + "\n")
        artifact.finish()
    found: dict[str, dict[str, Any]] = json.loads(artifact.path.read_text())
    return found


def _evaluation(search: NetworkSearch, experiment: Experiment, run: Run) -> Artifact:
    path = search.folder / "evaluations" / f"{experiment.config.name}_seed{run.encoder_seed}.npz"
    encoder = encoder_identities(experiment, run)[experiment.epochs[-1]]
    inputs = {"encoder": encoder, "data": images_of(experiment).sha256}
    recipe = encoder_recipe(experiment, run)
    return Artifact(path, "final_evaluation", recipe, inputs, run.encoder_seed, "evaluation")
