"""The linear programs of exact Pareto optimal search: weights of tasks from their Gram matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from ib_analysis.pareto.preferences import balance_anchor

__all__ = ["balance_program", "descent_program", "solve_on_simplex"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

FEASIBILITY = 1e-9
"""By how much a row may be violated, after each row is scaled to largest entry 1."""


def balance_program(gramian: Matrix, losses: Vector, preference: Vector) -> tuple[Vector, Matrix, Vector]:
    """Make the losses more uniform without raising the largest r_j l_j (Mahapatra & Rajan 2020, balance mode).

    Maximise alpha . C a over the simplex, with C alpha >= rhs. A small step along -G^T alpha changes loss i at the
    rate -(C alpha)_i and mu at the rate -alpha . C a (up to a positive factor). Where J = {i: (C a)_i > 0} is empty,
    rhs = 0: nothing may rise. Else losses of J may do what they like, the others may rise no faster than (C a)_i says,
    and the largest r_j l_j may not rise.

    Arguments:
        gramian: C = G G^T, shape (m, m).
        losses, preference: shape (m,), positive.

    Returns:
        objective (m,), rows (k, m), rhs (k,): maximise objective . alpha over the simplex with rows alpha >= rhs.
    """
    rates = gramian @ balance_anchor(losses, preference)
    if (rates <= 0).all():
        return rates, gramian, np.zeros(len(rates))
    weighted = preference * losses
    rhs = np.where(rates > 0, -np.inf, rates)
    # Equal up to rounding counts as largest: which of them leads is then chance.
    rhs[weighted >= weighted.max() * (1 - 1e-12)] = 0.0
    kept = np.isfinite(rhs)
    return rates, gramian[kept], rhs[kept]


def descent_program(
    gramian: Matrix, losses: Vector, preference: Vector, restricted: bool
) -> tuple[Vector, Matrix, Vector]:
    """Lower all losses as fast as can be without raising any (Mahapatra & Rajan 2020, descent mode).

    Maximise sum(C alpha) over the simplex with C alpha >= 0; restricted, also alpha . C a >= -max(0, -max_i (C a)_i),
    so that the losses do not leave the ray where that can be helped.

    Arguments and what is returned: as for `balance_program`.
    """
    rows, rhs = gramian, np.zeros(len(gramian))
    if restricted:
        rates = gramian @ balance_anchor(losses, preference)
        rows = np.vstack([rows, rates])
        rhs = np.append(rhs, -max(0.0, -float(rates.max())))
    return gramian.sum(axis=0), rows, rhs


def solve_on_simplex(objective: Vector, rows: Matrix, rhs: Vector) -> Vector | None:
    """Maximise objective . alpha over the simplex with rows alpha >= rhs.

    Two weights are found in closed form, more by SciPy's HiGHS.

    Arguments:
        objective: shape (m,).
        rows: shape (k, m).
        rhs: shape (k,).

    Returns:
        alpha, shape (m,), not negative and of sum 1; None where no alpha satisfies the rows.

    >>> solve_on_simplex(np.array([1.0, 0.0]), np.array([[-1.0, 1.0]]), np.zeros(1))
    array([0.5, 0.5])
    """
    scales = np.maximum(np.abs(rows).max(axis=1, initial=0.0), np.abs(rhs))
    nonzero = scales > 0
    rows, rhs = rows[nonzero] / scales[nonzero, None], rhs[nonzero] / scales[nonzero]
    objective = objective / (np.abs(objective).max() or 1.0)
    if len(objective) == 1:
        return np.ones(1) if (rows[:, 0] >= rhs - FEASIBILITY).all() else None
    if len(objective) == 2:
        return _on_segment(objective, rows, rhs)
    return _by_highs(objective, rows, rhs)


def _on_segment(objective: Vector, rows: Matrix, rhs: Vector) -> Vector | None:
    """alpha = (t, 1 - t): each row bounds t from one side, and the objective takes one end of what is left."""
    slope, offset = rows[:, 0] - rows[:, 1], rhs - rows[:, 1]  # slope t >= offset
    low, high = 0.0, 1.0
    for s, o in zip(slope, offset, strict=True):
        if abs(s) <= FEASIBILITY:
            if o > FEASIBILITY:
                return None
        elif s > 0:
            low = max(low, o / s)
        else:
            high = min(high, o / s)
    if low > high:
        if low - high > FEASIBILITY:
            return None
        low = high = min(1.0, max(0.0, (low + high) / 2))
    gain = objective[0] - objective[1]
    t = high if gain > 0 else low if gain < 0 else (low + high) / 2
    return np.array([t, 1 - t])


def _by_highs(objective: Vector, rows: Matrix, rhs: Vector) -> Vector | None:
    size = len(objective)
    found = linprog(
        -objective,
        A_ub=-rows if len(rows) else None,
        b_ub=-rhs if len(rows) else None,
        A_eq=np.ones((1, size)),
        b_eq=np.ones(1),
        bounds=(0.0, None),
        method="highs-ds",
        options={"primal_feasibility_tolerance": FEASIBILITY, "dual_feasibility_tolerance": FEASIBILITY},
    )
    if found.status != 0 or found.x is None:
        return None
    alpha = np.maximum(found.x, 0.0)
    return alpha / alpha.sum()
