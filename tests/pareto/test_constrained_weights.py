"""What weights under constraints promise, on random gradients: docs/pareto.md, section 2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from ib_analysis.pareto import EPOWeighting
from ib_analysis.pareto.direction import constrained_weights


@dataclass
class Case:
    """Gradients (m + k, n), preference, losses, and at what rates the constraints are to fall."""

    rows: np.ndarray
    preference: np.ndarray
    losses: np.ndarray
    n_equalities: int
    wanted: np.ndarray

    def __post_init__(self) -> None:
        weighting = EPOWeighting(self.preference)
        weighting.set_losses(self.losses)
        both = constrained_weights(
            weighting.weights, self.rows @ self.rows.T, self.n_losses, self.wanted, self.n_equalities
        )
        self.alpha, self.nu = both[: self.n_losses], both[self.n_losses :]
        self.rates = self.rows @ (both @ self.rows)
        self.tolerance = 1e-6 * float(np.abs(self.rows @ self.rows.T).max())

    @property
    def n_losses(self) -> int:
        return len(self.losses)

    @property
    def of_largest(self) -> float:
        """The rate at which the largest r l falls."""
        return float(self.rates[np.argmax(self.preference * self.losses)])


def made(seed: int, inside: bool) -> Case:
    """On the boundary of all constraints, or strictly inside the inequalities."""
    rng = np.random.default_rng(seed)
    m, k = int(rng.integers(2, 5)), int(rng.integers(1, 4))
    n = int(rng.integers(m + k, m + k + 6))
    rows = rng.normal(size=(m + k, n)) * np.exp(rng.normal(size=(m + k, 1)))
    preference, losses = np.exp(rng.normal(size=m)), np.exp(rng.normal(size=m))
    n_equalities = int(rng.integers(0, k + 1))
    wanted = np.zeros(k)
    if inside:
        wanted[n_equalities:] = -np.exp(rng.normal(size=k - n_equalities))
    return Case(rows, preference, losses, n_equalities, wanted)


@pytest.mark.parametrize("inside", [False, True])
def test_constraints_are_obeyed_and_rates_are_what_the_docs_say(inside: bool) -> None:
    """G d = C' alpha + C_GJ C_JJ^+ wanted_J, by least squares on the gradients themselves."""
    for seed in range(60):
        case = made(seed, inside)
        m, e = case.n_losses, case.n_equalities
        assert np.abs(case.rates[m : m + e] - case.wanted[:e]).max(initial=0) < case.tolerance
        assert (case.rates[m + e :] - case.wanted[e:]).min(initial=0) > -case.tolerance
        binding = np.union1d(np.arange(e), np.flatnonzero(case.nu)).astype(int)
        tasks, held = case.rows[:m], case.rows[m + binding]
        across = np.linalg.pinv(held) @ held if len(binding) else np.zeros((tasks.shape[1],) * 2)
        projected = tasks - tasks @ across
        repair = tasks @ np.linalg.pinv(held) @ case.wanted[binding] if len(binding) else 0.0
        assert case.rates[:m] == pytest.approx(projected @ projected.T @ case.alpha + repair, abs=case.tolerance)
        if not inside:
            assert case.of_largest > -case.tolerance


def test_what_is_not_promised() -> None:
    """An inequality that binds from inside can make the largest r l rise; one held like an equality can pull."""
    assert made(650, True).of_largest < -0.01
    assert made(650, False).of_largest >= -1e-6
    pulls = made(44, False)
    assert pulls.nu[pulls.n_equalities :].min() < -0.01
