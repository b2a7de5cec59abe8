"""A search problem: what may be built, what is wanted of it, what it must not exceed, and who finds that out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ib_analysis.search.space import Architecture, Space

__all__ = ["Constraint", "Direction", "Evaluator", "Metrics", "Objective", "Problem"]

Direction = Literal["minimize", "maximize"]
Metrics = Mapping[str, float]
"""Name of a metric, with its unit -> value, finite."""


class Evaluator(Protocol):
    """Finds the metrics of architectures: in a table, or by training and measuring networks."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of what `evaluate` gives."""
        ...

    @property
    def device_metrics(self) -> tuple[str, ...]:
        """Those among them that `device` gives without an evaluation (MACs, a table of latencies); may be empty."""
        ...

    def evaluate(self, architecture: Architecture) -> Metrics:
        """All metrics; this is what an evaluation costs. The same architecture has the same metrics each time."""
        ...

    def device(self, architecture: Architecture) -> Metrics:
        """The device metrics only, at no cost."""
        ...


@dataclass(frozen=True)
class Objective:
    """A metric that is to be as small, or as large, as can be.

    Arguments:
        metric: its name.
        direction: minimize or maximize.
        ideal, reference: values of the metric with loss 0 and loss 1; what is worse than the reference adds nothing to
            a hypervolume.

    Raises:
        ValueError: the ideal is not better than the reference.

    >>> Objective("accuracy", "maximize", ideal=100.0, reference=80.0).loss(95.0)
    0.25
    """

    metric: str
    direction: Direction
    ideal: float
    reference: float

    def __post_init__(self) -> None:
        if self.direction not in ("minimize", "maximize"):
            raise ValueError(f"the direction of {self.metric} is {self.direction!r}; choose minimize or maximize.")
        better = self.ideal < self.reference if self.direction == "minimize" else self.ideal > self.reference
        if not better or not np.isfinite([self.ideal, self.reference]).all():
            raise ValueError(
                f"the ideal {self.ideal:g} of {self.metric} must be better than its reference {self.reference:g} when "
                f"one is to {self.direction} it."
            )

    def loss(self, value: float) -> float:
        """0 at the ideal, 1 at the reference, smaller is better."""
        return (value - self.ideal) / (self.reference - self.ideal)


@dataclass(frozen=True)
class Constraint:
    """A metric that must not pass a limit, which itself is allowed.

    Raises:
        ValueError: an unknown side, or a limit that is no finite number.

    >>> Constraint("milliseconds", "at most", 10.0).violation(12.0)
    0.2
    >>> Constraint("accuracy", "at least", 80.0).excess(90.0)
    -0.125
    """

    metric: str
    side: Literal["at most", "at least"]
    limit: float

    def __post_init__(self) -> None:
        if self.side not in ("at most", "at least"):
            raise ValueError(f"the limit of {self.metric} is {self.side!r}; choose at most or at least.")
        if not np.isfinite(self.limit):
            raise ValueError(f"the limit of {self.metric} is {self.limit}; it must be a finite number.")

    def excess(self, value: float) -> float:
        """By what share of the limit (of 1, if the limit is 0) it is missed; below 0, by how much it is kept."""
        missed = value - self.limit if self.side == "at most" else self.limit - value
        return missed / (abs(self.limit) or 1.0)

    def violation(self, value: float) -> float:
        """`excess` where the limit is missed, else 0."""
        return max(0.0, self.excess(value))


@dataclass(frozen=True)
class Problem:
    """What a search is asked.

    Arguments:
        space: what may be built.
        objectives: at least one; in reports they stand in this order.
        evaluator: finds metrics.
        constraints: all of them must be kept.

    Raises:
        ValueError: no objective, one twice, or one (or a constraint) on a metric that the evaluator does not give.
    """

    space: Space
    objectives: tuple[Objective, ...]
    evaluator: Evaluator
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        names = [objective.metric for objective in self.objectives]
        if not names or len(set(names)) != len(names):
            raise ValueError("a problem needs objectives, each of them once.")
        for name in [*names, *(constraint.metric for constraint in self.constraints)]:
            if name not in self.evaluator.metrics:
                known = ", ".join(self.evaluator.metrics)
                raise ValueError(f"there is no metric {name!r}; this problem's evaluator gives {known}.")

    def losses(self, metrics: Metrics) -> NDArray[np.float64]:
        """Shape (objectives,): `Objective.loss` of each."""
        return np.array([objective.loss(metrics[objective.metric]) for objective in self.objectives])

    def violation(self, metrics: Metrics) -> float:
        """Sum of the constraints' violations; 0 is feasible."""
        return sum((constraint.violation(metrics[constraint.metric]) for constraint in self.constraints), 0.0)
