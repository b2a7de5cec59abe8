"""From what every network says of every image to the three tables."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from ib_analysis.information.intervals import Bootstrap, Interval, paired_bootstrap_intervals
from ib_analysis.information.table import read_table, write_table
from ib_analysis.information.warnings import join_warnings, split_warnings
from ib_analysis.records.images import images_of
from ib_analysis.studies.cost_quality.dominance import dominance, efficient, resampled
from ib_analysis.studies.cost_quality.evaluate import read_evaluation
from ib_analysis.studies.cost_quality.plan import CostQuality, Network
from ib_analysis.studies.cost_quality.pooled_seeds import means_over_seeds
from ib_analysis.studies.cost_quality.rows import COST_MODELS, CostQualityPointRow, CostQualityRow, DominanceRow

__all__ = ["Tables", "difference_of_samples", "tabulate"]

NAMES = ("cost_quality.csv", "cost_quality_points.csv", "dominance.csv")


@dataclass(frozen=True)
class Tables:
    """The rows of the study's tables."""

    networks: list[CostQualityRow]
    points: list[CostQualityPointRow]
    dominance: list[DominanceRow]


def tabulate(study: CostQuality) -> Tables:
    """Write the tables unless they are there and made of the same evaluations; return their rows.

    Raises:
        UserError: something is not evaluated yet.
    """
    networks, points, verdicts = (study.table_artifact(name) for name in NAMES)
    artifacts = (networks, points, verdicts)
    if any(artifact.status() != "complete" for artifact in artifacts):
        found = _Grid(study).tables()
        for artifact in artifacts:
            artifact.begin()
        write_table(networks.path, CostQualityRow, found.networks)
        write_table(points.path, CostQualityPointRow, found.points)
        write_table(verdicts.path, DominanceRow, found.dominance)
        for artifact in artifacts:
            artifact.finish()
    return Tables(
        read_table(networks.path, CostQualityRow),
        read_table(points.path, CostQualityPointRow),
        read_table(verdicts.path, DominanceRow),
    )


def difference_of_samples(first: Interval, second: Interval) -> Interval:
    """The interval of a difference of two estimates from independent samples, from their own intervals.

    Source: Zou & Donner 2008 (Statistics in Medicine 27:1693), the method of variance estimates recovery.

    >>> difference_of_samples(Interval(5.0, 2.0, 8.0), Interval(1.0, -3.0, 5.0))
    Interval(estimate=4.0, low=-1.0, high=9.0)
    """
    centre = first.estimate - second.estimate
    return Interval(
        centre,
        centre - math.hypot(first.estimate - first.low, second.high - second.estimate),
        centre + math.hypot(first.high - first.estimate, second.estimate - second.low),
    )


class _Grid:
    """All evaluations in memory: one byte per network, seed and image."""

    def __init__(self, study: CostQuality) -> None:
        self.study, settings = study, study.settings
        self.bootstrap = Bootstrap(settings.confidence, settings.resamples)
        self.points = [Network(name, *size, 0) for name in settings.number_formats for size in study.sizes]
        costs = [study.cost(network) for network in self.points]
        self.parameters = [parameters for parameters, _ in costs]
        self.costs = [
            {
                "macs": cost.macs,
                "quadratic_cost": cost.quadratic,
                "linear_cost": cost.linear,
                "memory_bits": cost.memory_bits,
            }
            for _, cost in costs
        ]
        found = [
            [
                read_evaluation(study, Network(point.number_format, point.depth, point.width, seed))
                for point in self.points
            ]
            for seed in settings.seeds
        ]
        self.loss = {
            part: np.array([[float(one[f"{part}_loss_bits"].mean()) for one in row] for row in found])
            for part in ("train", "test")
        }
        # shape (seeds, points, images)
        self.correct = {
            part: np.array([[one[f"{part}_correct"] for one in row] for row in found]) for part in ("train", "test")
        }
        labels = images_of(study.experiment).evaluation.labels
        self.chance = float(np.bincount(labels).max() / len(labels))

    def tables(self) -> Tables:
        networks = self._networks()
        return Tables(networks, self._points(networks), self._dominance())

    def _intervals(self, part: str, seed: int | None) -> list[Interval]:
        """Of every point's accuracy over images: of one seed, or of the mean over seeds."""
        correct = self.correct[part]
        values = correct.mean(axis=0) if seed is None else correct[seed].astype(np.float64)
        return paired_bootstrap_intervals(values, self.bootstrap)

    def _networks(self) -> list[CostQualityRow]:
        rows = []
        for place, seed in enumerate(self.study.settings.seeds):
            test, training = self._intervals("test", place), self._intervals("train", place)
            for index, point in enumerate(self.points):
                network = Network(point.number_format, point.depth, point.width, seed)
                gap = difference_of_samples(training[index], test[index])
                test_loss, train_loss = (float(self.loss[part][place, index]) for part in ("test", "train"))
                warnings = ["accuracy_at_chance"] if test[index].low <= self.chance else []
                warnings += [] if math.isfinite(test_loss + train_loss) else ["not_finite"]
                rows.append(
                    CostQualityRow(
                        experiment=self.study.experiment.config.name,
                        number_format=network.number_format,
                        depth=network.depth,
                        width=network.width,
                        seed=seed,
                        parameters=self.parameters[index],
                        **self.costs[index],
                        n_training_images=self.correct["train"].shape[2],
                        n_images=self.correct["test"].shape[2],
                        test_accuracy=test[index].estimate,
                        test_accuracy_low=test[index].low,
                        test_accuracy_high=test[index].high,
                        train_accuracy=training[index].estimate,
                        test_loss_bits=test_loss,
                        train_loss_bits=train_loss,
                        generalization_gap=gap.estimate,
                        generalization_gap_low=gap.low,
                        generalization_gap_high=gap.high,
                        seconds=float(self.study.evaluation_artifact(network).record["seconds"]),
                        warnings=join_warnings(warnings),
                    )
                )
        order = {(point.number_format, point.depth, point.width): index for index, point in enumerate(self.points)}
        return sorted(rows, key=lambda row: (order[row.number_format, row.depth, row.width], row.seed))

    def _points(self, networks: list[CostQualityRow]) -> list[CostQualityPointRow]:
        settings, per_format = self.study.settings, len(self.study.sizes)
        accuracy = {part: self.correct[part].mean(axis=2) for part in ("train", "test")}
        over_images = {part: self._intervals(part, None) for part in ("train", "test")}
        gaps_over_images = [difference_of_samples(*pair) for pair in zip(*over_images.values(), strict=True)]
        rows = []
        for start in range(0, len(self.points), per_format):
            # The spread of seeds is pooled over the networks of one format.
            own = slice(start, start + per_format)
            test = means_over_seeds(accuracy["test"][:, own], over_images["test"][own], settings.confidence)
            gaps = means_over_seeds(
                accuracy["train"][:, own] - accuracy["test"][:, own], gaps_over_images[own], settings.confidence
            )
            means = np.array([interval.estimate for interval in test])
            best = {
                model: efficient(np.array([cost[model] for cost in self.costs[own]]), means) for model in COST_MODELS
            }
            for index, point in enumerate(self.points[own]):
                of_point = [
                    row for row in networks
                    if (row.number_format, row.depth, row.width) == (point.number_format, point.depth, point.width)
                ]  # fmt: skip
                rows.append(
                    CostQualityPointRow(
                        experiment=self.study.experiment.config.name,
                        number_format=point.number_format,
                        depth=point.depth,
                        width=point.width,
                        n_seeds=len(settings.seeds),
                        confidence=settings.confidence,
                        parameters=self.parameters[start + index],
                        **self.costs[start + index],
                        test_accuracy=test[index].estimate,
                        test_accuracy_low=test[index].low,
                        test_accuracy_high=test[index].high,
                        train_accuracy=float(accuracy["train"][:, start + index].mean()),
                        generalization_gap=gaps[index].estimate,
                        generalization_gap_low=gaps[index].low,
                        generalization_gap_high=gaps[index].high,
                        efficient=";".join(model for model in COST_MODELS if best[model][index]),
                        warnings=join_warnings(name for row in of_point for name in split_warnings(row.warnings)),
                    )
                )
        return rows

    def _dominance(self) -> list[DominanceRow]:
        settings, accuracies = self.study.settings, resampled(self.correct["test"], self.bootstrap)
        seeds, _, images = self.correct["test"].shape
        places = {
            name: [index for index, point in enumerate(self.points) if point.number_format == name]
            for name in settings.number_formats
        }
        rows = []
        for model in COST_MODELS:
            for a, b in permutations(settings.number_formats, 2):
                costs = {name: np.array([self.costs[index][model] for index in places[name]]) for name in (a, b)}
                found = dominance(
                    costs[a], accuracies.of(places[a]), costs[b], accuracies.of(places[b]), self.bootstrap
                )
                least, overlap = found.smallest, found.overlap
                rows.append(
                    DominanceRow(
                        experiment=self.study.experiment.config.name,
                        format_a=a,
                        format_b=b,
                        cost_model=model,
                        verdict=found.verdict,
                        smallest_difference=None if least is None else least.estimate,
                        smallest_difference_low=None if least is None else least.low,
                        smallest_difference_high=None if least is None else least.high,
                        cost=found.cost,
                        overlap_low=None if overlap is None else overlap[0],
                        overlap_high=None if overlap is None else overlap[1],
                        n_knots=found.n_knots,
                        n_seeds=seeds,
                        n_images=images,
                        confidence=settings.confidence,
                    )
                )
        return rows
