"""What a search expects of architectures that it has not evaluated: what is known exactly, the rest by a surrogate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ib_analysis.search.evaluations import Evaluated
from ib_analysis.search.problem import Metrics, Problem
from ib_analysis.search.space import Architecture
from ib_analysis.search.surrogate import Surrogate

__all__ = ["Predictions"]


class Predictions:
    """Losses and violations of constraints, before an evaluation.

    A surrogate learns the losses of the objectives that are not known, and by how much the constraints that are not
    known are missed or kept (`Constraint.excess`), a column each, in this order.

    Arguments:
        problem: whose objectives and constraints they are.
        surrogate: learns and predicts.
        costs_known: whether device metrics are taken from `Evaluator.device`; if not, nothing at all is known of an
            architecture before it is evaluated.
    """

    def __init__(self, problem: Problem, surrogate: Surrogate, costs_known: bool) -> None:
        self.problem, self.surrogate = problem, surrogate
        told = problem.evaluator.device_metrics if costs_known else ()
        self.known_objectives = np.array([objective.metric in told for objective in problem.objectives])
        self.known_constraints = np.array([one.metric in told for one in problem.constraints], dtype=bool)
        self.learned = 0
        """Architectures that it has learned from."""

    @property
    def needs_learning(self) -> bool:
        """Whether there is anything that is not known exactly."""
        return not (self.known_objectives.all() and self.known_constraints.all())

    @property
    def ready(self) -> bool:
        """Whether it can predict."""
        return bool(self.learned) or not self.needs_learning

    def learn(self, found: Sequence[Evaluated]) -> None:
        """From everything that has been evaluated."""
        if self.needs_learning:
            losses = np.stack([one.losses for one in found])[:, ~self.known_objectives]
            excesses = np.stack([self._excesses(one.metrics) for one in found])[:, ~self.known_constraints]
            self.surrogate.fit([one.architecture for one in found], np.concatenate([losses, excesses], axis=1))
            self.learned = len(found)

    def of(self, architectures: Sequence[Architecture]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Losses, shape (N, objectives), and violations, shape (N,).

        Raises:
            RuntimeError: it is not `ready`.
        """
        if not self.ready:
            raise RuntimeError("there is nothing to predict from yet.")
        losses = np.zeros((len(architectures), len(self.known_objectives)))
        excesses = np.zeros((len(architectures), len(self.known_constraints)))
        if self.known_objectives.any() or self.known_constraints.any():
            devices = [self.problem.evaluator.device(one) for one in architectures]
            for k in np.flatnonzero(self.known_objectives):
                objective = self.problem.objectives[k]
                losses[:, k] = [objective.loss(metrics[objective.metric]) for metrics in devices]
            for k in np.flatnonzero(self.known_constraints):
                constraint = self.problem.constraints[k]
                excesses[:, k] = [constraint.excess(metrics[constraint.metric]) for metrics in devices]
        if self.needs_learning:
            predicted = self.surrogate.predict(architectures)
            unknown = int((~self.known_objectives).sum())
            losses[:, ~self.known_objectives] = predicted[:, :unknown]
            excesses[:, ~self.known_constraints] = predicted[:, unknown:]
        return losses, np.maximum(excesses, 0.0).sum(1)

    def _excesses(self, metrics: Metrics) -> NDArray[np.float64]:
        constraints = self.problem.constraints
        return np.array([one.excess(metrics[one.metric]) for one in constraints], dtype=np.float64)
