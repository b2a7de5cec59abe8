"""`ib yardsticks`: judge an experiment's classifiers and set published accuracies beside theirs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from ib_analysis.artifacts import Artifact, UserError, sha256_of_plain
from ib_analysis.engines.local import exclusive
from ib_analysis.experiment import Experiment, Run
from ib_analysis.information.intervals import Interval, paired_bootstrap_interval
from ib_analysis.information.table import read_table, write_table
from ib_analysis.quantization import BINARY
from ib_analysis.records.encoders import encoder_at, encoder_identities
from ib_analysis.records.images import images_of
from ib_analysis.stages.pipeline import run_until
from ib_analysis.studies.judge import judge
from ib_analysis.studies.yardsticks.config import YardsticksConfig
from ib_analysis.studies.yardsticks.published import PUBLISHED
from ib_analysis.studies.yardsticks.setting import Setting
from ib_analysis.studies.yardsticks.table import YardstickRow, summary, yardstick_rows

__all__ = ["check", "extent", "run"]


def check(experiment: Experiment, _: YardsticksConfig) -> None:
    """Refuse what has no yardstick, before anything runs.

    Raises:
        UserError: nothing published is known for the architecture, or none of the tasks is classification.
    """
    architecture = experiment.config.encoder.architecture
    if architecture not in PUBLISHED:
        raise UserError(
            f"No published accuracies are kept for encoder.architecture {architecture}; there are some for "
            f"{' and '.join(PUBLISHED)}."
        )
    if not _runs(experiment):
        raise UserError("yardsticks are accuracies; tasks must have classification among them.")


def extent(experiment: Experiment, _: YardsticksConfig) -> str:
    """What the study adds to an experiment, in words."""
    return f"passes over the evaluation images: {len(_runs(experiment))}"


def run(experiment: Experiment, settings: YardsticksConfig) -> None:
    """Train what is missing of the encoders, judge each at its last epoch, and print the table.

    Writes ``yardsticks.csv`` under ``checkpoints/<experiment>/studies/yardsticks``.

    Raises:
        UserError: a user's mistake; nothing computed is lost.
    """
    check(experiment, settings)
    run_until(experiment, "train")
    artifact = _artifact(experiment, settings)
    with exclusive(artifact.path.parent / ".lock", str(artifact.path.parent)):
        if artifact.status() != "complete":
            artifact.begin()
            write_table(artifact.path, YardstickRow, _rows(experiment, settings))
            artifact.finish()
    print(summary(read_table(artifact.path, YardstickRow)))
    print(f"\n{artifact.path}")


def _runs(experiment: Experiment) -> list[Run]:
    return [run for run in experiment.runs if run.task == "classification"]


def _artifact(experiment: Experiment, settings: YardsticksConfig) -> Artifact:
    inputs = {"data": images_of(experiment).sha256}
    for of_run in _runs(experiment):
        inputs[of_run.key] = encoder_identities(experiment, of_run)[experiment.epochs[-1]]
    # As inputs and not as config: with others the table is made again, which costs little.
    inputs["settings"] = sha256_of_plain(dataclasses.asdict(settings))
    inputs["published"] = sha256_of_plain([repr(one) for one in PUBLISHED[experiment.config.encoder.architecture]])
    path = Path(experiment.folder) / "studies" / "yardsticks" / "yardsticks.csv"
    return Artifact(path, "yardsticks_table", experiment.section("name"), inputs, algorithm="tables")


def _rows(experiment: Experiment, settings: YardsticksConfig) -> list[YardstickRow]:
    config, data = experiment.config, images_of(experiment)
    epoch = experiment.epochs[-1]
    accuracies: dict[str, dict[int, Interval]] = {}
    for of_run in _runs(experiment):
        network = encoder_at(experiment, of_run, epoch).to("cuda" if torch.cuda.is_available() else "cpu")
        right, _ = judge(network, data.evaluation)
        found = paired_bootstrap_interval(right, settings.confidence, settings.resamples)
        accuracies.setdefault(of_run.number_format, {})[of_run.encoder_seed] = found
    channels, height, width = data.image_shape
    setting = Setting(
        config.data.source, height, width, channels, data.intensities, len(data.encoder), len(data.evaluation), epoch
    )
    networks = {name: _network(experiment, name) for name in accuracies}
    published = PUBLISHED[config.encoder.architecture]
    return yardstick_rows(config.name, networks, setting, accuracies, published, settings.confidence)


def _network(experiment: Experiment, number_format: str) -> str:
    """What the classifiers of a number format are, in words."""
    encoder = experiment.config.encoder
    if encoder.architecture == "rir":
        kind = f"blocks {encoder.block}"
    else:
        kind = "a reconstruction of BCNN" if number_format == BINARY else "its real-valued twin"
    widths = " ".join(map(str, encoder.stage_widths))
    return f"{encoder.architecture} ({kind}), depth {encoder.depth}, filters {widths}"
