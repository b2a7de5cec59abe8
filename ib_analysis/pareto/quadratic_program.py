"""Small convex quadratic programs by an active-set method: what weights of tasks are found by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["bounded_quadratic", "shortest_combination", "simplex_quadratic"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

TOLERANCE = 1e-12
"""Of multipliers, relative to the largest number of the problem."""

RIDGE = 1e-14
"""Added to the diagonal, relative to the largest number: directions without curvature are followed to a bound."""


def bounded_quadratic(hessian: Matrix, linear: Vector, lower: Vector, upper: Vector) -> Vector:
    """The minimiser of 1/2 x.Hx - b.x with lower <= x <= upper (Nocedal & Wright 2006, algorithm 16.3).

    Arguments:
        hessian: H, shape (k, k), symmetric and positive semidefinite; k of at most a few dozens.
        linear: b, shape (k,), in the range of H where a coordinate has no bounds.
        lower, upper: shape (k,), with infinities where there is no bound.

    Returns:
        Shape (k,).

    Raises:
        ArithmeticError: no solution was found in 50 k + 50 changes of the active set.

    >>> bounded_quadratic(np.eye(2), np.array([3.0, 0.5]), np.zeros(2), np.ones(2)).round(9)
    array([1. , 0.5])
    """
    return _active_set(hessian, linear, lower, upper, np.clip(np.zeros(len(linear)), lower, upper), None)


def simplex_quadratic(hessian: Matrix, linear: Vector, n_simplex: int | None = None) -> Vector:
    """The minimiser of 1/2 x.Hx - b.x over x >= 0 whose first entries sum to 1.

    Arguments:
        hessian, linear: as for `bounded_quadratic`.
        n_simplex: how many entries sum to 1; by default all.

    Returns:
        Shape (k,).

    Raises:
        ArithmeticError: as for `bounded_quadratic`.

    >>> simplex_quadratic(np.diag([1.0, 4.0]), np.zeros(2)).round(9)
    array([0.8, 0.2])
    """
    size = len(linear)
    n_simplex = size if n_simplex is None else n_simplex
    within = (np.arange(size) < n_simplex).astype(np.float64)
    start = within / n_simplex
    x = _active_set(hessian, linear, np.zeros(size), np.full(size, np.inf), start, within)
    return x / x[:n_simplex].sum()


def shortest_combination(gramian: Matrix, n_hull: int) -> tuple[Vector, float]:
    """The shortest vector in the convex hull of the first vectors plus the cone of the others, by their Gram matrix.

    With task gradients in the hull it is the direction of MGDA (Desideri 2012); with constraints' gradients in the
    cone its length is how far a point is from satisfying the conditions of Karush, Kuhn and Tucker.

    Arguments:
        gramian: shape (k, k), of all vectors.
        n_hull: how many of them, from the first, span the hull; at least 1.

    Returns:
        Weights, shape (k,): those of the hull sum to 1, none is negative; and the length of the vector.

    >>> weights, length = shortest_combination(np.diag([1.0, 4.0]), 2)
    >>> weights.round(3), round(length, 3)
    (array([0.8, 0.2]), 0.894)
    """
    weights = simplex_quadratic(gramian, np.zeros(len(gramian)), n_hull)
    return weights, float(np.sqrt(max(0.0, float(weights @ gramian @ weights))))


def _active_set(
    hessian: Matrix, linear: Vector, lower: Vector, upper: Vector, x: Vector, within: Vector | None
) -> Vector:
    """From a point that satisfies everything; `within` marks the entries whose sum stays what it is."""
    size = len(linear)
    if not size:
        return x
    scale = max(float(np.abs(hessian).max()), float(np.abs(linear).max()), 1e-300)
    hessian = hessian + RIDGE * scale * np.eye(size)
    at_lower, at_upper = x <= lower, x >= upper
    for _ in range(50 * size + 50):
        step, level = _step_of_free(hessian, linear - hessian @ x, ~(at_lower | at_upper), within)
        # The longest step that stays within the bounds.
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(step > 0, (upper - x) / step, np.where(step < 0, (lower - x) / step, np.inf))
        blocking = int(np.argmin(room))
        if room[blocking] < 1:
            rises = step[blocking] > 0
            x = np.clip(x + max(room[blocking], 0.0) * step, lower, upper)
            x[blocking] = upper[blocking] if rises else lower[blocking]
            (at_upper if rises else at_lower)[blocking] = True
            continue
        x = np.clip(x + step, lower, upper)
        slope = hessian @ x - linear - (0.0 if within is None else level * within)
        wrong = np.where(at_lower & at_upper, 0.0, np.where(at_lower, -slope, np.where(at_upper, slope, 0.0)))
        worst = int(np.argmax(wrong))
        if wrong[worst] <= TOLERANCE * scale:
            return x
        at_lower[worst] = at_upper[worst] = False
    raise ArithmeticError("The active-set method found no solution.")


def _step_of_free(
    hessian: Matrix, residual: Vector, free: NDArray[np.bool_], within: Vector | None
) -> tuple[Vector, float]:
    """The step to the minimum over free entries, and the multiplier of the sum that is kept."""
    step = np.zeros(len(residual))
    n_free = int(free.sum())
    if not n_free:
        return step, 0.0
    inner = hessian[np.ix_(free, free)]
    if within is None or not within[free].any():
        step[free] = np.linalg.solve(inner, residual[free])
        return step, 0.0
    # A row of the size of the Hessian's keeps the system well scaled.
    row = within[free] * max(float(np.abs(inner).max()), 1e-300)
    system = np.zeros((n_free + 1, n_free + 1))
    system[:n_free, :n_free], system[:n_free, n_free], system[n_free, :n_free] = inner, row, row
    solved = np.linalg.solve(system, np.append(residual[free], 0.0))
    step[free] = solved[:n_free]
    # residual - inner step = level on the entries whose sum is kept.
    return step, -float(solved[n_free]) * float(row.max())
