"""How far a point is from being a Pareto point of a constrained problem: the residuals to report beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ib_analysis.pareto.problems import Problem
from ib_analysis.pareto.quadratic_program import shortest_combination

__all__ = ["Residuals", "residuals", "stationary_share", "violation"]


@dataclass(frozen=True)
class Residuals:
    """Conditions of Karush, Kuhn and Tucker for a Pareto point; all are 0 at one.

    But for the relative stationarity where all losses' gradients vanish at once (a single loss, or losses with one
    minimum): a share of nothing, it tells nothing there."""

    infeasibility: float
    """Largest violation of a constraint or bound; nan where a constraint is no number."""

    stationarity: float
    """min |G^T alpha + J_h^T nu + J_g^T lambda|, alpha in the simplex, lambda >= 0 on constraints that are active. Also
    small where one loss' gradient is much shorter than another's, and on a plateau: necessary for a Pareto point, not
    sufficient."""

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

    Raises:
        ValueError: a gradient is not finite at the point.
    """
    rows = _jacobian(problem.losses, x)
    if not bool(torch.isfinite(rows).all()):  # whose it is cannot be told: 0 times infinity is nan in the others' rows
        raise ValueError(
            "A loss' gradient is not finite at this point, so that residuals mean nothing there; take a point nearby, "
            "inside the bounds."
        )
    if relative:
        rows = rows / rows.norm(dim=1).max().clamp_min(1e-300)
    cone, slack = _cone(problem, x, active)
    weights, length = _shortest(rows, cone)
    complementarity = max((abs(w * s) for w, s in zip(weights[len(rows) :], slack, strict=True)), default=0.0)
    return Residuals(violation(problem, x), length, float(complementarity))


def stationary_share(problem: Problem, x: Tensor, gradients: Tensor, *, active: float = 1e-6) -> float:
    """The shortest convex combination of some gradients plus the cone of active constraints: the stationarity of
    `Residuals` for gradients in a scale of one's own.

    Arguments:
        problem: its constraints.
        x: shape (n,), double.
        gradients: shape (k, n), finite.
        active: as for `residuals`.
    """
    return _shortest(gradients, _cone(problem, x, active)[0])[1]


def violation(problem: Problem, x: Tensor) -> float:
    """Largest violation of a constraint or bound; 0 where all are kept, nan where one is no number."""
    found = [0.0]
    if problem.equalities is not None:
        found.append(float(problem.equalities(x).detach().abs().max()))
    if problem.inequalities is not None:
        found.append(float(problem.inequalities(x).detach().max()))
    if problem.lower is not None:
        found.append(float((problem.lower - x).max()))
    if problem.upper is not None:
        found.append(float((x - problem.upper).max()))
    return float(np.max(found))


def _jacobian(functions, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    jacobian = torch.autograd.functional.jacobian(functions, x)
    assert isinstance(jacobian, Tensor)
    return jacobian


def _cone(problem: Problem, x: Tensor, active: float) -> tuple[list[Tensor], list[float]]:
    """Gradients of active constraints and bounds, equalities' with both signs, and their values."""
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
    return cone, slack


def _shortest(rows: Tensor, cone: Sequence[Tensor]) -> tuple[NDArray[np.float64], float]:
    everything = torch.stack([*rows, *cone]).numpy()
    return shortest_combination(everything @ everything.T, len(rows))
