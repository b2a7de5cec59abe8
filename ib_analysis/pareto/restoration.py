"""Bring a point back into its constraints."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ib_analysis.pareto.direction import Bounds, find_direction
from ib_analysis.pareto.gradients import gradient_rows
from ib_analysis.pareto.problems import Problem

__all__ = ["restored"]

STEPS = 50


def restored(problem: Problem, x: Tensor, feasibility: float) -> Tensor:
    """A point near x that satisfies all constraints: clamping, and Newton steps onto those that are violated.

    A step is the shortest d with h - J_h d = 0 and g - J_g d <= 0, by the Gram matrix of the constraints alone.

    Arguments:
        problem: its constraints.
        x: shape (n,), double.
        feasibility: the largest violation that is left.

    Returns:
        Shape (n,). Where 50 steps do not do, the least violating of the points that were met.
    """
    bounds = None
    if problem.lower is not None or problem.upper is not None:
        infinite = torch.full_like(x, float("inf"))
        bounds = Bounds(
            [-infinite if problem.lower is None else problem.lower],
            [infinite if problem.upper is None else problem.upper],
        )
    x = x.detach().clone()
    best, least = x, float("inf")
    for _ in range(STEPS):
        if bounds is not None:
            bounds.clamp_([x])
        if problem.equalities is None and problem.inequalities is None:
            return x
        leaf = x.clone().requires_grad_()
        equalities = [] if problem.equalities is None else list(problem.equalities(leaf).unbind())
        inequalities = [] if problem.inequalities is None else list(problem.inequalities(leaf).unbind())
        values = np.array([float(value.detach()) for value in (*equalities, *inequalities)])
        n_equalities = len(equalities)
        violated = float(
            np.maximum(np.abs(values[:n_equalities]).max(initial=0.0), values[n_equalities:].max(initial=0.0))
        )
        if violated < least:
            best, least = x, violated
        if violated <= feasibility:
            break
        rows = gradient_rows([*equalities, *inequalities], [leaf])
        if any(gradient is not None and not bool(torch.isfinite(gradient).all()) for (gradient,) in rows):
            break
        step = find_direction(
            lambda _: np.zeros(0), rows, 0, wanted=values, n_equalities=n_equalities, parameters=[x], bounds=bounds
        ).gradient[0]
        if step is None or not bool(torch.isfinite(step).all()) or float(step.norm()) < 1e-15:
            break
        x = x - step
    return best
