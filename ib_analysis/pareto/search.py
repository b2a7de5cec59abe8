"""Search for the Pareto point of a preference where losses are functions of a vector, without noise.

The point of a preference r minimises max_j r_j l_j wherever an exact point exists (docs/pareto.md). The search takes
proximal steps on phi = max_j log(r_j l_j): the weights of a step solve the m x m quadratic program

    minimise  eta / 2 |sum_j beta_j grad log l_j|^2 - sum_j beta_j log(r_j l_j)   over the simplex,

which balances and descends at once; constraints enter as for all weights, by `find_direction`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ib_analysis.pareto.direction import BlockedSets, constrained_weights
from ib_analysis.pareto.gradients import gradient_rows
from ib_analysis.pareto.metric import Curvature
from ib_analysis.pareto.optimality import Residuals, residuals, stationary_share, violation
from ib_analysis.pareto.preferences import checked_losses, checked_preference, non_uniformity
from ib_analysis.pareto.problems import Problem
from ib_analysis.pareto.quadratic_program import simplex_quadratic
from ib_analysis.pareto.restoration import restored
from ib_analysis.pareto.weighting import check_finite

__all__ = ["ParetoPoint", "SearchConfig", "search"]

Vector = NDArray[np.float64]

CONVERGED = "converged"

STATIONARY = 1e-3
"""A point counts as stationary where gradients cancel up to this share of the longest that were met of each loss."""

REACHED = 1e-3
"""Losses whose log(r l) is within this of the largest hold it down together."""


@dataclass(frozen=True)
class SearchConfig:
    """When a search ends.

    Raises:
        ValueError: a number is out of its range.
    """

    iterations: int = 500
    """Gradients at most."""

    decrease: float = 1e-10
    """The search ends where the decrease of log max_j r_j l_j that a step promises is below this."""

    on_ray: float = 1e-6
    """Non-uniformity, in nats, up to which a point is called exact: each r_j l_j is then within about 1e-3 of their
    mean, in relative terms."""

    feasibility: float = 1e-9
    """Violation of constraints to which each step is restored."""

    first_step: float = 0.5
    """Length of the first step along unit gradients, at most."""

    def __post_init__(self) -> None:
        for name in ("decrease", "on_ray", "feasibility", "first_step"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be greater than 0.")
        if self.iterations < 1:
            raise ValueError(f"iterations is {self.iterations}; it must be at least 1.")


@dataclass(frozen=True)
class ParetoPoint:
    """Where a search ended."""

    x: Tensor
    """Shape (n,), double."""

    losses: Vector
    """Shape (m,)."""

    preference: Vector
    """Shape (m,), of sum 1."""

    weights: Vector
    """Shape (m,), of sum 1: with these weights of the logarithms of the losses the point is stationary."""

    non_uniformity: float
    """mu, in nats; 0 on the ray of the preference."""

    exact: bool
    """Whether the losses are on the ray. If not, `message` says whether the point minimises max_j r_j l_j among its
    neighbours, so that no exact point exists nearby, or whether the search ended without showing that."""

    residuals: Residuals
    """Of the conditions for a Pareto point."""

    iterations: int
    """Gradients that were computed."""

    evaluations: int
    """Losses that were computed beside those."""

    message: str
    """How the search ended."""


def search(problem: Problem, preference: ArrayLike, start: Tensor, config: SearchConfig | None = None) -> ParetoPoint:
    """The Pareto point at which r_1 l_1 = ... = r_m l_m, from a start.

    max_j r_j l_j falls with every step. Like every descent the search can end at a local optimum.

    Arguments:
        problem: losses and constraints.
        preference: r, shape (m,), positive.
        start: shape (n,); brought into the constraints first.
        config: see `SearchConfig`.

    Returns:
        See `ParetoPoint`; also where nothing better was found than the least infeasible point. Points at which a
        gradient is not finite are avoided.

    Raises:
        ValueError: a bad preference or start, functions that give no vector, or at the start a loss that is not
            positive, or a constraint or gradient that is not finite.

    >>> from ib_analysis.pareto.problems import gaussian_wells
    >>> point = search(gaussian_wells(4), [1.0, 1.0], torch.tensor([0.3, -0.2, 0.1, 0.5]))
    >>> point.losses.round(6), point.exact
    (array([0.632121, 0.632121]), True)
    """
    config = config or SearchConfig()
    r = checked_preference(preference)
    if len(r) != problem.n_losses:
        raise ValueError(f"The preference has {len(r)} entries; the problem has {problem.n_losses} losses.")
    x = torch.as_tensor(start).detach().to("cpu", torch.float64).clone()
    if x.shape != (problem.n_variables,) or not bool(torch.isfinite(x).all()):
        raise ValueError(
            f"The start has shape {tuple(x.shape)}; the problem needs {problem.n_variables} finite numbers, of shape "
            f"({problem.n_variables},)."
        )
    problem.check_functions(x)
    return _Search(problem, r, config).run(x)


@dataclass(frozen=True)
class _Local:
    """All that one iteration knows of its point."""

    x: Tensor
    levels: Vector  # log(r l)
    rows: Tensor  # gradients of log l, then of the constraints, (m + k, n)
    values: Vector  # of the constraints, equalities first
    n_equalities: int

    @property
    def phi(self) -> float:
        return float(self.levels.max())

    @property
    def gramian(self) -> Vector:
        return (self.rows @ self.rows.T).numpy()

    @property
    def finite(self) -> bool:
        return bool(torch.isfinite(self.rows).all())

    def lengths(self, n_losses: int) -> Vector:
        """Of the losses' gradients."""
        return self.rows[:n_losses].norm(dim=1).numpy()


@dataclass(frozen=True)
class _Step:
    d: Tensor
    both: Vector  # beta and the constraints' multipliers, (m + k,)
    rates: Vector  # at which log l falls, (m,)


class _Search:
    def __init__(self, problem: Problem, r: Vector, config: SearchConfig) -> None:
        self.problem, self.r, self.config = problem, r, config
        self.evaluations = 0
        infinite = torch.full((problem.n_variables,), math.inf, dtype=torch.float64)
        self.lower = -infinite if problem.lower is None else problem.lower
        self.upper = infinite if problem.upper is None else problem.upper
        self.metric = Curvature(problem.n_variables, 1.0)

    def run(self, x: Tensor) -> ParetoPoint:
        here = self.local(restored(self.problem, x, self.config.feasibility))
        check_finite(here.gramian, len(self.r))
        if not np.isfinite(here.values).all():
            raise ValueError("The value of a constraint is not finite at the start; start where it is a number.")
        lengths = here.lengths(len(self.r))
        self.metric = Curvature(self.problem.n_variables, max(float(lengths.max()), 1e-300) / self.config.first_step)
        beta = np.full(len(self.r), 1 / len(self.r))
        ended = f"stopped after {self.config.iterations} iterations"
        iterations = 1
        while iterations < self.config.iterations:
            found = self.step(here)
            if isinstance(found, str):
                ended = found
                break
            there, both = found
            iterations += 1
            beta = both[: len(self.r)]
            self.metric.update((there.x - here.x).numpy(), both @ (there.rows - here.rows).numpy())
            here = there
            lengths = np.maximum(lengths, here.lengths(len(self.r)))
        if ended == CONVERGED and not self.stationary(here, lengths):
            ended = "stalled where gradients promise no decrease, though the point is not stationary"
        return self.told(here, beta, iterations, ended)

    def stationary(self, here: _Local, lengths: Vector) -> bool:
        """Whether max r l is least among the point's neighbours, to first order.

        The gradients of a plateau never were longer than they are at the end, and do not count as short.
        """
        reached = np.flatnonzero(here.levels >= here.phi - REACHED)
        if (lengths[reached] == 0).any():
            return False
        gradients = here.rows[torch.from_numpy(reached)] / torch.from_numpy(lengths[reached])[:, None]
        return stationary_share(self.problem, here.x, gradients) < STATIONARY

    def told(self, here: _Local, beta: Vector, iterations: int, ended: str) -> ParetoPoint:
        losses = np.exp(here.levels) / self.r
        mu = non_uniformity(losses, self.r)
        exact = mu <= self.config.on_ray
        rest = residuals(self.problem, here.x)
        message = ended
        if not rest.infeasibility <= 1e-6:
            message += f"; no feasible point was found, the least violation is {rest.infeasibility:.2g}"
        elif not exact:
            message += f"; no exact point was found from this start (mu = {mu:.2g} nats)"
            message += (
                ": this point minimises max r l among its neighbours instead"
                if ended == CONVERGED
                else ", nor is max r l shown to be least here; start elsewhere, or allow more iterations"
            )
        return ParetoPoint(here.x, losses, self.r, beta, mu, exact, rest, iterations, self.evaluations, message)

    def local(self, x: Tensor) -> _Local:
        """Losses, constraints and their gradients, with one backward pass for each."""
        x = x.detach().clone().requires_grad_()
        losses = self.problem.losses(x)
        values = checked_losses(losses.detach().numpy(), len(self.r))
        equalities = [] if self.problem.equalities is None else list(self.problem.equalities(x).unbind())
        inequalities = [] if self.problem.inequalities is None else list(self.problem.inequalities(x).unbind())
        constraints = [*equalities, *inequalities]
        rows = [*gradient_rows(list(torch.log(losses).unbind()), [x]), *gradient_rows(constraints, [x])]
        stacked = torch.stack([torch.zeros_like(x) if row is None else row for (row,) in rows]).detach()
        found = np.array([float(value.detach()) for value in constraints])
        return _Local(x.detach(), np.log(self.r * values), stacked, found, len(equalities))

    def step(self, here: _Local) -> tuple[_Local, Vector] | str:
        """A point where phi is lower by a tenth of what was promised; where there is none, how the search ends."""
        eta = 1.0
        ended = "stalled: no step, however short, lowers max r l"
        while eta > 1e-14:
            try:
                step = self.direction(here, here.levels, eta)
            except ArithmeticError:
                return "stalled where no weights of the losses were found"
            promised = here.phi - float((here.levels - step.rates).max())
            if promised < self.config.decrease:
                return CONVERGED if eta == 1.0 else ended
            there, levels = self.trial(here, step, promised)
            if there is None and np.isfinite(levels).all():
                # Second-order correction: the same step with the levels that it was found to lead to, or the losses'
                # curvature would shorten steps along the front more and more (the Maratos effect).
                try:
                    step = self.direction(here, levels + step.rates, eta)
                except ArithmeticError:
                    return "stalled where no weights of the losses were found"
                there, levels = self.trial(here, step, promised)
            if there is not None and there.finite:
                return there, step.both
            if there is not None:
                ended = "stalled beside a point at which a gradient is not finite"
            eta /= 4
        return ended

    def direction(self, here: _Local, levels: Vector, eta: float) -> _Step:
        """The proximal step in the metric of the curvature, within the box."""

        def choose(gramian: Vector) -> Vector:
            return simplex_quadratic(gramian, levels)

        # With constraints' functions h and multipliers for losses of sum 1, x - eta B^-1 (G^T beta + J^T nu).
        free = torch.ones_like(here.x)
        blocking = BlockedSets()
        while True:
            steps = eta * self.metric.steps(here.rows * free, free)
            both = constrained_weights(
                choose, (here.rows @ steps.T).numpy(), len(self.r), here.values, here.n_equalities
            )
            weights = torch.from_numpy(both)
            d = weights @ steps
            pull = torch.where(free > 0, d, self.metric.pull(weights @ here.rows, d / eta))
            blocked = ((here.x <= self.lower) & (pull > 0)) | ((here.x >= self.upper) & (pull < 0))
            proposed = blocking.next([(~blocked).to(free.dtype)], [free])
            if proposed is None:
                return _Step(d, both, (here.rows[: len(self.r)] @ d).numpy())
            (free,) = proposed

    def trial(self, here: _Local, step: _Step, promised: float) -> tuple[_Local | None, Vector]:
        """Where a step leads, brought back into the constraints: the point if phi is lower there by a tenth of what was
        promised, and its levels, infinite where a loss is not positive."""
        self.evaluations += 1
        x = restored(self.problem, here.x - step.d, self.config.feasibility)
        losses = self.problem.losses(x).detach().numpy()
        positive = bool(np.isfinite(losses).all() and (losses > 0).all())
        if not positive or not violation(self.problem, x) <= 1e3 * self.config.feasibility:
            return None, np.full(len(self.r), math.inf)
        levels = np.log(self.r * losses)
        return (self.local(x) if here.phi - float(levels.max()) >= 0.1 * promised else None), levels
