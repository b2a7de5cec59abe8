"""Which networks are points of which front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ib_analysis.artifacts import UserError
from ib_analysis.experiment import Experiment, Run
from ib_analysis.studies.pareto_front.config import ParetoFrontConfig
from ib_analysis.training import TradeOff

__all__ = ["Point", "epoch_of", "fronts_of", "points_of"]


@dataclass(frozen=True)
class Point:
    """Networks of all seeds that were trained for the same.

    Arguments:
        task, number_format: theirs.
        trade_off: None of a single task.
        position: on its front; None of a single task.
        runs: one per encoder seed.
    """

    task: str
    number_format: str
    trade_off: TradeOff | None
    position: int | None
    runs: tuple[Run, ...]

    @property
    def kind(self) -> str:
        return "" if self.trade_off is None else self.trade_off.kind

    @property
    def wanted(self) -> str:
        """The preference as r_c:r_a, or the limit."""
        return "" if self.trade_off is None else ":".join(f"{number:g}" for number in self.trade_off.numbers)


def points_of(experiment: Experiment) -> list[Point]:
    """All points, those of a front beside each other, from the classification end on."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in experiment.runs:
        groups.setdefault((run.number_format, run.task), []).append(run)
    points = []
    for (number_format, task), runs in groups.items():
        trade_off = runs[0].trade_off
        points.append(Point(task, number_format, trade_off, None, tuple(runs)))
    placed = []
    for front in _grouped(points):
        single = front[0].trade_off is None
        for position, point in enumerate(front if single else sorted(front, key=_from_classification)):
            place = None if single else position
            placed.append(Point(point.task, point.number_format, point.trade_off, place, point.runs))
    return placed


def fronts_of(points: Sequence[Point]) -> list[list[Point]]:
    """The fronts among the points: lists of all points of one kind and number format, by position."""
    return [group for group in _grouped(points) if group[0].trade_off is not None]


def epoch_of(experiment: Experiment, settings: ParetoFrontConfig) -> int:
    """The epoch at which the networks are looked at.

    Raises:
        UserError: it has no checkpoint.
    """
    if settings.epoch is None:
        return experiment.epochs[-1]
    if settings.epoch not in experiment.epochs:
        raise UserError(
            f"pareto-front.epoch is {settings.epoch}, which has no checkpoint; choose from "
            f"{', '.join(map(str, experiment.epochs))}."
        )
    return settings.epoch


def _grouped(points: Sequence[Point]) -> list[list[Point]]:
    groups: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        groups.setdefault((point.number_format, point.kind), []).append(point)
    return list(groups.values())


def _from_classification(point: Point) -> float:
    """Sort key: a large limit leaves the trunk to classification, a small share of it does not."""
    assert point.trade_off is not None
    preference = point.trade_off.preference
    return -point.trade_off.numbers[0] if preference is None else -preference[0]
