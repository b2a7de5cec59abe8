"""The small linear and quadratic programs, against enumeration and SciPy's solvers."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear, nnls

from ib_analysis.pareto.linear_program import _by_highs, balance_program, descent_program, solve_on_simplex
from ib_analysis.pareto.quadratic_program import bounded_quadratic, shortest_combination, simplex_quadratic


def random_case(seed: int, n_losses: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gram matrix, losses and preference; every fourth case has fewer directions than losses."""
    rng = np.random.default_rng(seed)
    m = n_losses or int(rng.integers(2, 6))
    n = int(rng.integers(1, m + 1)) if seed % 4 == 0 else int(rng.integers(m, 12))
    gradients = rng.normal(size=(m, n)) * np.exp(rng.normal(size=(m, 1)))
    return gradients @ gradients.T, np.exp(rng.normal(size=m)), np.exp(rng.normal(size=m))


def best_vertex(objective: np.ndarray, rows: np.ndarray, rhs: np.ndarray) -> float | None:
    """The optimum over the simplex with rows alpha >= rhs, as the best of all vertices."""
    m = len(objective)
    conditions = np.vstack([np.eye(m), rows])
    values = np.concatenate([np.zeros(m), rhs])
    chosen = np.array(list(combinations(range(len(conditions)), m - 1)))
    systems = np.concatenate([np.ones((len(chosen), 1, m)), conditions[chosen]], axis=1)
    right = np.concatenate([np.ones((len(chosen), 1)), values[chosen]], axis=1)
    regular = np.linalg.cond(systems) < 1e11
    alphas = np.linalg.solve(systems[regular], right[regular][..., None])[..., 0]
    scales = np.maximum(1e-300, np.abs(conditions).max(axis=1))
    feasible = ((alphas @ conditions.T - values) / scales > -1e-7).all(axis=1)
    return float((alphas[feasible] @ objective).max()) if feasible.any() else None


def solved_by_us(seed: int) -> np.ndarray | None:
    gramian, losses, preference = random_case(seed)
    if seed % 3 == 0:
        return solve_on_simplex(*balance_program(gramian, losses, preference))
    return solve_on_simplex(*descent_program(gramian, losses, preference, restricted=seed % 3 == 1))


def written_out(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same programs from the paper's definitions, row by row: objective, rows and right-hand sides."""
    gramian, losses, preference = random_case(seed)
    m = len(losses)
    total = sum(r * loss for r, loss in zip(preference, losses, strict=True))
    share = [r * loss / total for r, loss in zip(preference, losses, strict=True)]
    mu = sum(s * np.log(s * m) for s in share)
    anchor = [r * (np.log(s * m) - mu) for r, s in zip(preference, share, strict=True)]
    falls = [sum(gramian[i, j] * anchor[j] for j in range(m)) for i in range(m)]  # (C a)_i
    rows, rhs = [], []
    if seed % 3 != 0:
        for i in range(m):
            rows, rhs = [*rows, gramian[i]], [*rhs, 0.0]
        if seed % 3 == 1:
            rows, rhs = [*rows, np.array(falls)], [*rhs, -max(0.0, -max(falls))]
        return gramian @ np.ones(m), np.array(rows), np.array(rhs)
    uniform = all(fall <= 0 for fall in falls)
    leader = max(range(m), key=lambda i: preference[i] * losses[i])
    for i in range(m):
        if uniform or i == leader:
            rows, rhs = [*rows, gramian[i]], [*rhs, 0.0]
        elif falls[i] <= 0:
            rows, rhs = [*rows, gramian[i]], [*rhs, falls[i]]
    return np.array(falls), np.array(rows), np.array(rhs)


def test_thousand_programs_against_enumeration() -> None:
    """Weights against the best vertex of programs that are written out independently."""
    solved = 0
    for seed in range(1000):
        objective, rows, rhs = written_out(seed)
        alpha = solved_by_us(seed)
        best = best_vertex(objective, rows, rhs)
        if alpha is None:
            assert best is None
            continue
        solved += 1
        assert best is not None
        assert float(objective @ alpha) == pytest.approx(best, rel=1e-6, abs=1e-6 * np.abs(objective).max())
        assert (alpha >= 0).all()
        assert alpha.sum() == pytest.approx(1.0, abs=1e-12)
    assert solved > 900


def test_two_weights_in_closed_form_and_by_highs() -> None:
    for seed in range(200):
        gramian, losses, preference = random_case(seed, n_losses=2)
        for objective, rows, rhs in (
            balance_program(gramian, losses, preference),
            descent_program(gramian, losses, preference, restricted=False),
        ):
            alpha = solve_on_simplex(objective, rows, rhs)
            other = _by_highs(objective, rows, rhs)
            assert alpha is not None
            assert other is not None
            assert objective @ alpha == pytest.approx(objective @ other, rel=1e-6, abs=1e-7 * np.abs(objective).max())


@settings(deadline=None)
@given(st.integers(0, 100_000))
def test_balance_never_raises_the_largest_weighted_loss(seed: int) -> None:
    gramian, losses, preference = random_case(seed)
    alpha = solve_on_simplex(*balance_program(gramian, losses, preference))
    assert alpha is not None
    largest = int(np.argmax(preference * losses))
    assert (gramian @ alpha)[largest] >= -1e-7 * np.abs(gramian[largest]).max()


@settings(deadline=None)
@given(st.integers(0, 100_000))
def test_descent_raises_no_loss(seed: int) -> None:
    gramian, losses, preference = random_case(seed)
    alpha = solve_on_simplex(*descent_program(gramian, losses, preference, restricted=False))
    assert alpha is not None
    assert (gramian @ alpha >= -1e-7 * np.abs(gramian).max(axis=1)).all()


@settings(deadline=None)
@given(st.integers(0, 100_000))
def test_bounded_quadratic_against_bvls(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k, n = int(rng.integers(1, 7)), int(rng.integers(1, 9))
    a, b = rng.normal(size=(n, k)), rng.normal(size=n)
    ours = bounded_quadratic(a.T @ a, a.T @ b, -np.ones(k), np.ones(k))
    theirs = lsq_linear(a, b, (-1, 1), method="bvls").x
    assert (np.abs(ours) <= 1).all()
    assert np.linalg.norm(a @ ours - b) == pytest.approx(np.linalg.norm(a @ theirs - b), rel=1e-6, abs=1e-6)


@settings(deadline=None)
@given(st.integers(0, 100_000))
def test_simplex_quadratic_satisfies_its_optimality_conditions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(1, 7)), int(rng.integers(1, 9))
    a, b = rng.normal(size=(n, m)), rng.normal(size=m)
    x = simplex_quadratic(a.T @ a, b)
    slope = a.T @ a @ x - b
    assert (x >= 0).all()
    assert x.sum() == pytest.approx(1, abs=1e-12)
    assert (slope >= x @ slope - 1e-6).all()  # no entry would lower the objective


@settings(deadline=None)
@given(st.integers(0, 100_000))
def test_shortest_combination_against_nonnegative_least_squares(seed: int) -> None:
    """The shortest of the hull plus the cone, by nonnegative least squares with a row for the sum (Lawson & Hanson)."""
    rng = np.random.default_rng(seed)
    hull, cone, n = int(rng.integers(1, 5)), int(rng.integers(0, 4)), int(rng.integers(1, 9))
    vectors = rng.normal(size=(hull + cone, n))
    weights, length = shortest_combination(vectors @ vectors.T, hull)
    ones = (np.arange(hull + cone) < hull).astype(float)
    other = nnls(np.vstack([vectors.T, ones]), np.append(np.zeros(n), 1.0))[0]
    other = other / other[:hull].sum()
    assert length == pytest.approx(np.linalg.norm(other @ vectors), abs=1e-6)
    assert weights[:hull].sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
