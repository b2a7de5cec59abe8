"""From networks and information.csv to the tables of the study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ib_analysis.artifacts import Artifact, sha256_of_file, sha256_of_plain
from ib_analysis.encoders import psnr_db
from ib_analysis.experiment import Experiment, Run
from ib_analysis.information.columns import RunColumns
from ib_analysis.information.intervals import Bootstrap, Interval, paired_bootstrap_interval
from ib_analysis.information.seed_spread import spread_over_seeds
from ib_analysis.information.table import read_table, write_table
from ib_analysis.pareto import angle_degrees, non_uniformity
from ib_analysis.records.encoders import encoder_identities
from ib_analysis.records.images import images_of
from ib_analysis.results import load_results
from ib_analysis.stages.collate import INFORMATION
from ib_analysis.studies.pareto_front.evaluate import OnImages, on_images
from ib_analysis.studies.pareto_front.plan import Point, points_of
from ib_analysis.studies.pareto_front.questions import layer_rows, middle_rows, monotone_rows
from ib_analysis.studies.pareto_front.rows import (
    ParetoLayerRow,
    ParetoMiddleRow,
    ParetoMonotoneRow,
    ParetoNetworkRow,
    ParetoPointRow,
)

__all__ = ["TABLES", "Tables", "folder_of", "point_row", "read_tables", "tabulate"]

TABLES: dict[str, type] = {
    "pareto_networks.csv": ParetoNetworkRow,
    "pareto_points.csv": ParetoPointRow,
    "pareto_layers.csv": ParetoLayerRow,
    "pareto_monotone.csv": ParetoMonotoneRow,
    "pareto_middle.csv": ParetoMiddleRow,
}
"""Files of the study -> what their rows are."""


@dataclass(frozen=True)
class Tables:
    """Everything that the study found."""

    networks: list[ParetoNetworkRow]
    points: list[ParetoPointRow]
    layers: list[ParetoLayerRow]
    monotone: list[ParetoMonotoneRow]
    middle: list[ParetoMiddleRow]


def folder_of(experiment: Experiment) -> Path:
    """Where the tables lie."""
    return experiment.folder / "studies" / "pareto_front"


def read_tables(folder: Path) -> Tables:
    """The tables of a finished study.

    Raises:
        UserError: one is missing or damaged.
    """
    return Tables(*(read_table(folder / name, kind) for name, kind in TABLES.items()))


def tabulate(experiment: Experiment, epoch: int) -> Tables:
    """Write the tables unless they are there and made of the same networks and numbers; return their rows.

    Raises:
        UserError: something is not measured yet.
    """
    artifacts = {name: _artifact(experiment, name, epoch) for name in TABLES}
    if any(artifact.status() != "complete" for artifact in artifacts.values()):
        for name, rows in _rows(experiment, epoch).items():
            artifacts[name].begin()
            write_table(artifacts[name].path, TABLES[name], rows)
            artifacts[name].finish()
    return read_tables(folder_of(experiment))


def _artifact(experiment: Experiment, name: str, epoch: int) -> Artifact:
    inputs = {run.key: encoder_identities(experiment, run)[epoch] for run in experiment.runs}
    # As inputs and not as config: with other settings the tables are made again, which costs little.
    inputs |= {
        "data": images_of(experiment).sha256,
        "information": sha256_of_file(experiment.folder / INFORMATION),
        "estimation": sha256_of_plain(experiment.section("estimation")),
        # A table of an earlier version lacks columns.
        "columns": sha256_of_plain([column.name for column in fields(TABLES[name])]),
    }
    path = folder_of(experiment) / name
    return Artifact(path, "pareto_front_table", experiment.section("name"), inputs, algorithm="tables")


def _rows(experiment: Experiment, epoch: int) -> dict[str, list[Any]]:
    estimation = experiment.config.estimation
    bootstrap = Bootstrap(estimation.confidence, estimation.resamples)
    points = points_of(experiment)
    results = load_results(experiment.config.name, experiment.config.checkpoints)
    judged = {run: on_images(experiment, run, epoch) for point in points for run in point.runs}
    trained = {
        str(line["run"]): line for line in results.training if line["epoch"] == epoch and line["split"] == "train"
    }
    networks = [
        _network_row(experiment, point, run, epoch, judged[run], trained[run.key], bootstrap)
        for point in points
        for run in point.runs
    ]
    measured = [row for row in results.information if row.epoch == epoch]
    name = experiment.config.name
    found: list[list[Any]] = [
        networks,
        [point_row(name, point, networks, bootstrap.confidence) for point in points],
        layer_rows(name, points, measured, bootstrap.confidence),
        monotone_rows(name, points, measured, bootstrap.confidence),
        middle_rows(name, points, judged, bootstrap),
    ]
    return dict(zip(TABLES, found, strict=True))


def _network_row(
    experiment: Experiment,
    point: Point,
    run: Run,
    epoch: int,
    judged: OnImages,
    trained: Mapping[str, Any],
    bootstrap: Bootstrap,
) -> ParetoNetworkRow:
    def interval(values: np.ndarray | None) -> Interval | None:
        if values is None:
            return None
        return paired_bootstrap_interval(values, bootstrap.confidence, bootstrap.n_resamples)

    def mean(values: np.ndarray | None) -> float | None:
        return None if values is None else float(values.mean())

    accuracy, error = interval(judged.correct), interval(judged.squared_error)
    held_out = mean(judged.classification_loss), mean(judged.reconstruction_loss)
    # A single task's record has no losses in these units; its training loss is no point of a front.
    training = trained.get("classification_loss"), trained.get("reconstruction_loss")
    columns = RunColumns(experiment.config.name, run.task, run.number_format, run.encoder_seed)
    return ParetoNetworkRow(
        **vars(columns),
        kind=point.kind,
        wanted=point.wanted,
        position=point.position,
        epoch=epoch,
        n_images=len(images_of(experiment).evaluation),
        train_classification_loss=training[0],
        train_reconstruction_loss=training[1],
        train_non_uniformity=_from_ray(point, training, non_uniformity),
        train_angle_degrees=_from_ray(point, training, angle_degrees),
        classification_loss=held_out[0],
        reconstruction_loss=held_out[1],
        non_uniformity=_from_ray(point, held_out, non_uniformity),
        angle_degrees=_from_ray(point, held_out, angle_degrees),
        accuracy=None if accuracy is None else accuracy.estimate,
        accuracy_low=None if accuracy is None else accuracy.low,
        accuracy_high=None if accuracy is None else accuracy.high,
        psnr_db=None if error is None else psnr_db(error.estimate),
        psnr_db_low=None if error is None else psnr_db(error.high),
        psnr_db_high=None if error is None else psnr_db(error.low),
    )


def _from_ray(point: Point, losses: tuple[float | None, float | None], measure: Any) -> float | None:
    preference = None if point.trade_off is None else point.trade_off.preference
    known = [loss for loss in losses if loss is not None and loss > 0]
    return float(measure(known, preference)) if preference is not None and len(known) == 2 else None


def point_row(name: str, point: Point, networks: Sequence[ParetoNetworkRow], confidence: float) -> ParetoPointRow:
    """Means over the networks of a point, and whether they kept its limit.

    Arguments:
        name: of the experiment.
        networks: of all points.
        confidence: level of the intervals.
    """
    own = [row for row in networks if (row.task, row.number_format) == (point.task, point.number_format)]

    def mean(column: str) -> float | None:
        values = [getattr(row, column) for row in own]
        return None if None in values else float(np.mean(values))

    def spread(column: str) -> Interval | None:
        if getattr(own[0], column) is None:
            return None
        runs = {
            (row.encoder_seed, 0): Interval(*(getattr(row, column + end) for end in ("", "_low", "_high")))
            for row in own
        }
        return spread_over_seeds(runs, confidence).mean

    accuracy, psnr = spread("accuracy"), spread("psnr_db")
    limit = None if point.trade_off is None else point.trade_off.limit
    reached = [row.train_reconstruction_loss for row in own]
    return ParetoPointRow(
        experiment=name,
        task=point.task,
        number_format=point.number_format,
        kind=point.kind,
        wanted=point.wanted,
        position=point.position,
        n_seeds=len(own),
        confidence=confidence,
        train_classification_loss=mean("train_classification_loss"),
        train_reconstruction_loss=mean("train_reconstruction_loss"),
        n_within_limit=None if limit is None else sum(loss is not None and loss <= limit for loss in reached),
        classification_loss=mean("classification_loss"),
        reconstruction_loss=mean("reconstruction_loss"),
        train_non_uniformity=mean("train_non_uniformity"),
        train_angle_degrees=mean("train_angle_degrees"),
        angle_degrees=mean("angle_degrees"),
        accuracy=None if accuracy is None else accuracy.estimate,
        accuracy_low=None if accuracy is None else accuracy.low,
        accuracy_high=None if accuracy is None else accuracy.high,
        psnr_db=None if psnr is None else psnr.estimate,
        psnr_db_low=None if psnr is None else psnr.low,
        psnr_db_high=None if psnr is None else psnr.high,
    )
