"""`ib stream-ablation`: train what is missing, set streams to zero one by one, and tabulate."""

from __future__ import annotations

from pathlib import Path

import torch

from ib_analysis.artifacts import Artifact, UserError, sha256_of_plain
from ib_analysis.engines.local import exclusive
from ib_analysis.experiment import Experiment, Run
from ib_analysis.information.columns import RunColumns
from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.table import read_table, write_table
from ib_analysis.records.encoders import encoder_at, encoder_identities
from ib_analysis.records.images import images_of
from ib_analysis.stages.pipeline import run_until
from ib_analysis.studies.judge import judge
from ib_analysis.studies.stream_ablation.ablate import two_stream_blocks, without_stream
from ib_analysis.studies.stream_ablation.config import StreamAblationConfig
from ib_analysis.studies.stream_ablation.table import StreamAblationRow, ablation_rows, summary

__all__ = ["check", "extent", "run"]


def check(experiment: Experiment, settings: StreamAblationConfig) -> None:
    """Refuse what cannot be ablated, before anything runs.

    Raises:
        UserError: the encoder has one stream, none of its tasks is classification, or an epoch has no checkpoint.
    """
    encoder = experiment.config.encoder
    if not encoder.has_two_streams:
        blocks = f" with blocks {encoder.block}" if encoder.architecture == "rir" else ""
        raise UserError(
            f"stream-ablation sets a residual or transient stream to zero, which the encoder ({encoder.architecture}"
            f"{blocks}) does not have; choose --encoder.architecture rir with --encoder.block rir or resnet_init."
        )
    if not _runs(experiment):
        raise UserError("stream-ablation is about accuracy; tasks must have classification among them.")
    for epoch in settings.epochs:
        if epoch not in experiment.epochs:
            raise UserError(
                f"stream-ablation.epochs names epoch {epoch}, which has no checkpoint; choose from "
                f"{', '.join(map(str, experiment.epochs))}."
            )


def extent(experiment: Experiment, settings: StreamAblationConfig) -> str:
    """What the study adds to an experiment, in words."""
    blocks = sum(experiment.config.encoder.stage_blocks)
    networks = len(_runs(experiment)) * len(_epochs(experiment, settings))
    return f"passes over the evaluation images: {networks * (1 + blocks * len(settings.streams))}"


def run(experiment: Experiment, settings: StreamAblationConfig) -> None:
    """Run what is missing of the encoders, set each stream of each block to zero on its own, and print the table.

    Writes ``stream_ablation.csv`` (see `ib_analysis.studies.stream_ablation.table`) under
    ``checkpoints/<experiment>/studies/stream_ablation``.

    Raises:
        UserError: a user's mistake; nothing computed is lost.
    """
    check(experiment, settings)
    run_until(experiment, "train")
    artifact = _artifact(experiment, settings)
    with exclusive(artifact.path.parent / ".lock", str(artifact.path.parent)):
        if artifact.status() != "complete":
            artifact.begin()
            rows = [
                row
                for of_run in _runs(experiment)
                for epoch in _epochs(experiment, settings)
                for row in _rows(experiment, settings, of_run, epoch)
            ]
            write_table(artifact.path, StreamAblationRow, rows)
            artifact.finish()
    print(summary(read_table(artifact.path, StreamAblationRow)))
    print(f"\n{artifact.path}")


def _runs(experiment: Experiment) -> list[Run]:
    return [run for run in experiment.runs if run.task == "classification"]


def _epochs(experiment: Experiment, settings: StreamAblationConfig) -> tuple[int, ...]:
    return settings.epochs or experiment.epochs[-1:]


def _artifact(experiment: Experiment, settings: StreamAblationConfig) -> Artifact:
    inputs = {"data": images_of(experiment).sha256}
    for of_run in _runs(experiment):
        identities = encoder_identities(experiment, of_run)
        inputs |= {f"{of_run.key}/{epoch}": identities[epoch] for epoch in _epochs(experiment, settings)}
    # As inputs and not as config: with other settings the table is made again, which costs little.
    inputs["streams"] = sha256_of_plain(list(settings.streams))
    inputs["estimation"] = sha256_of_plain(experiment.section("estimation"))
    path = Path(experiment.folder) / "studies" / "stream_ablation" / "stream_ablation.csv"
    return Artifact(path, "stream_ablation_table", experiment.section("name"), inputs, algorithm="tables")


def _rows(experiment: Experiment, settings: StreamAblationConfig, of_run: Run, epoch: int) -> list[StreamAblationRow]:
    estimation, split = experiment.config.estimation, images_of(experiment).evaluation
    network = encoder_at(experiment, of_run, epoch).to("cuda" if torch.cuda.is_available() else "cpu")
    intact, _ = judge(network, split)
    ablated = {}
    for path, block in two_stream_blocks(network).items():
        for stream in settings.streams:
            with without_stream(block, stream):
                ablated[path, stream], _ = judge(network, split)
    columns = RunColumns(experiment.config.name, of_run.task, of_run.number_format, of_run.encoder_seed)
    bootstrap = Bootstrap(estimation.confidence, estimation.resamples)
    return ablation_rows(columns, epoch, intact, ablated, bootstrap)
