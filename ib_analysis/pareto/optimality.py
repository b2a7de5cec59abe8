"""How far a point is from being a Pareto point of a constrained problem: the residuals to report beside it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ib_analysis.pareto.problems import Problem
from ib_analysis.pareto.quadratic_program import shortest_combination

__all__ = ["Residuals", "residuals", "violation"]


@dataclass(frozen=True)
class Residuals:
    """Conditions of Karush, Kuhn and Tucker for a Pareto point; all are 0 at one."""

    infeasibility: float
    """Largest violation of a constraint or bound."""

    stationarity: float
    """min |G^T alpha + J_h^T nu + J_g^T lambda|, alpha in the simplex, lambda >= 0 on constraints that are active."""

    complementarity: float
    """Largest |lambda_i g_i| at that minimum."""


def residuals(problem: Problem, x: Tensor, *, active: float = 1e-6, relative: bool = True) -> Residuals:
    """Residuals at a point.

    Arguments:
        problem: see `Problem`.
        x: shape (n,), double.
        active: inequalities and bounds with a value above minus this count as active.
        relative: whether the stationarity is divided by the length of the longest gradient of a loss, so that it has
            no unit.

    Returns:
        See `Residuals`.
    """
    rows = _jacobian(problem.losses, x)
    if relative:
        rows = rows / rows.norm(dim=1).max().clamp_min(1e-300)
    n_losses = len(rows)
    cone: list[Tensor] = []
    slack: list[float] = []
    if problem.equalities is not None:
        jacobian = _jacobian(problem.equalities, x)
        cone += [*jacobian, *(-jacobian)]
        slack += [0.0] * (2 * len(jacobian))
    if problem.inequalities is not None:
        values, jacobian = problem.inequalities(x).detach(), _jacobian(problem.inequalities, x)
        for value, row in zip(values.tolist(), jacobian, strict=True):
            if value > -active:
                cone.append(row)
                slack.append(value)
    for bound, sign in ((problem.lower, -1.0), (problem.upper, 1.0)):
        if bound is not None:
            for index in torch.nonzero(sign * (x - bound) > -active).flatten().tolist():
                normal = torch.zeros_like(x)
                normal[index] = sign
                cone.append(normal)
                slack.append(float(sign * (x - bound)[index]))
    everything = torch.stack([*rows, *cone]).numpy()
    weights, length = shortest_combination(everything @ everything.T, n_losses)
    complementarity = max((abs(w * s) for w, s in zip(weights[n_losses:], slack, strict=True)), default=0.0)
    return Residuals(violation(problem, x), length, float(complementarity))


def violation(problem: Problem, x: Tensor) -> float:
    """Largest violation of a constraint or bound; 0 where all are kept."""
    found = [0.0]
    if problem.equalities is not None:
        found.append(float(problem.equalities(x).detach().abs().max()))
    if problem.inequalities is not None:
        found.append(float(problem.inequalities(x).detach().max()))
    if problem.lower is not None:
        found.append(float((problem.lower - x).max()))
    if problem.upper is not None:
        found.append(float((x - problem.upper).max()))
    return max(found)


def _jacobian(functions, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    jacobian = torch.autograd.functional.jacobian(functions, x)
    assert isinstance(jacobian, Tensor)
    return jacobian
