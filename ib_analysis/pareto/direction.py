"""The direction of a step: tasks' weights under constraints, from the Gram matrix of losses and constraints.

The paper's treatment of constraints (arXiv 2108.00597) could not be read; what is built here is derived in
docs/pareto.md from first principles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ib_analysis.pareto.gradients import Rows, combined, first_not_finite, gramian
from ib_analysis.pareto.quadratic_program import bounded_quadratic
from ib_analysis.pareto.weighting import check_finite, not_finite, too_long

__all__ = ["BlockedSets", "Bounds", "Direction", "constrained_weights", "find_direction", "projected_gramian"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Choose = Callable[[Matrix], Vector]

RANK = 1e-11
"""Eigenvalues of constraints' Gram matrices below this share of the largest are taken for 0."""

RIDGE = 1e-11
"""Added to the diagonal of the Gram matrix of constraints' unit gradients, which are known to double precision."""

ROUNDING = 16
"""Where constraints contradict each other: the ridge in roundings of the gradients' own number format. In that format
their multipliers, which are large and of opposite signs, are to cancel."""


@dataclass(frozen=True)
class Bounds:
    """A box of parameters: lower <= x <= upper.

    Arguments:
        lower, upper: a number for all, or a tensor per parameter (numbers and arrays are taken for tensors); infinite
            by default.

    Raises:
        ValueError: a side is neither, the box is empty, or its two sides do not fit each other.
    """

    lower: float | Sequence[Tensor] = -float("inf")
    """Least values."""

    upper: float | Sequence[Tensor] = float("inf")
    """Largest values."""

    def __post_init__(self) -> None:
        for name in ("lower", "upper"):
            object.__setattr__(self, name, _side(name, getattr(self, name)))
        counts = {len(side) for side in (self.lower, self.upper) if not isinstance(side, float | int)}
        if len(counts) > 1:
            raise ValueError(f"The box has {len(self.lower)} lower and {len(self.upper)} upper bounds.")  # type: ignore[arg-type]
        for place in range(max(counts, default=1)):
            lower, upper = (torch.as_tensor(side) for side in self.of(place))
            if lower.shape and upper.shape and lower.shape != upper.shape:
                raise ValueError(f"The lower bounds have shape {tuple(lower.shape)}, the upper {tuple(upper.shape)}.")
            if not bool((lower <= upper).all()):
                raise ValueError("The box is empty: a lower bound is above its upper bound.")

    def check(self, parameters: Sequence[Tensor]) -> None:
        """Refuse a box of other parameters.

        Raises:
            ValueError: there are more or fewer of them, or one has another shape than its bounds.
        """
        for name, side in (("lower", self.lower), ("upper", self.upper)):
            if isinstance(side, float | int):
                continue
            shapes, wanted = [tuple(b.shape) for b in side], [tuple(p.shape) for p in parameters]
            if len(shapes) != len(wanted) or any(
                own and own != other for own, other in zip(shapes, wanted, strict=True)
            ):
                raise ValueError(f"The {name} bounds have the shapes {shapes}; the parameters have {wanted}.")

    def of(self, place: int) -> tuple[float | Tensor, float | Tensor]:
        """Lower and upper bound of one parameter."""
        lower = self.lower if isinstance(self.lower, float | int) else self.lower[place]
        upper = self.upper if isinstance(self.upper, float | int) else self.upper[place]
        return lower, upper

    def blocked(self, place: int, parameter: Tensor, direction: Tensor | None) -> Tensor:
        """Where a step along minus the direction would leave the box at once; shape of the parameter, bool."""
        lower, upper = self.of(place)
        if direction is None:
            return torch.zeros_like(parameter, dtype=torch.bool)
        # In the parameter's own type, in which a step ends at the bound exactly.
        lower, upper = (side.to(parameter) if isinstance(side, Tensor) else side for side in (lower, upper))
        return ((parameter <= lower) & (direction > 0)) | ((parameter >= upper) & (direction < 0))

    @torch.no_grad()
    def clamp_(self, parameters: Sequence[Tensor]) -> None:
        """Move parameters to the nearest point of the box."""
        for place, parameter in enumerate(parameters):
            lower, upper = self.of(place)
            if isinstance(lower, Tensor) or isinstance(upper, Tensor):
                least, most = (torch.as_tensor(side).to(parameter) for side in (lower, upper))
                parameter.copy_(torch.minimum(torch.maximum(parameter, least), most))
            else:
                parameter.clamp_(lower, upper)


@dataclass(frozen=True)
class Direction:
    """A step's direction d = G^T alpha + J^T nu: parameters go along -d."""

    gradient: list[Tensor | None]
    """d, per parameter."""

    weights: Vector
    """alpha, shape (m,)."""

    multipliers: Vector
    """nu, shape (k,): of equalities first; those of inequalities are 0 where one is left alone, else positive, unless
    one had to be held like an equality (docs/pareto.md, section 2)."""

    rates: Vector
    """How fast each loss falls along -d, shape (m,)."""


def find_direction(
    choose: Choose,
    rows: Rows,
    n_losses: int,
    *,
    wanted: Vector,
    n_equalities: int,
    parameters: Sequence[Tensor] = (),
    bounds: Bounds | None = None,
    measured: Sequence[int] | None = None,
) -> Direction:
    """The tasks' direction, as far as the constraints allow it.

    d is the vector nearest to G^T alpha with J_h d = wanted_h, J_g d >= wanted_g, and with d = 0 wherever a parameter
    at a bound would be pushed across it. alpha is chosen for the Gram matrix of the gradients *projected* on what the
    binding constraints leave free, so that its promises (nothing rises that must not) hold for d itself where wanted is
    0; else d also does what wanted asks, whatever the losses.

    Arguments:
        choose: from a Gram matrix (m, m) to alpha (m,).
        rows: gradients of m losses, then of k constraints.
        n_losses: m.
        wanted: shape (k,): at what rates the constraints' functions are to fall; inequalities at least so fast.
        n_equalities: how many of the k constraints, from the first, are equalities.
        parameters, bounds: the box, if there is one.
        measured: places of the parameters by which the losses are weighed; by default all. Constraints are kept by all
            parameters whichever these are.

    Raises:
        ValueError: a gradient is not finite, at whichever parameter, or too long for its number format.
    """
    if measured is not None and (bad := first_not_finite(rows)) is not None:
        raise not_finite(bad, n_losses)
    rounding = max((torch.finfo(g.dtype).eps for row in rows for g in row if g is not None), default=0.0)
    apart = measured is not None and len(wanted) > 0

    def weighed(free: Sequence[Tensor] | None) -> tuple[Matrix, Vector]:
        matrix = gramian(rows, free, places=None if apart else measured)
        if not np.isfinite(matrix).all() and first_not_finite(rows) is None:
            raise too_long()
        part = gramian(rows, free, places=measured) if apart else None
        return matrix, constrained_weights(choose, matrix, n_losses, wanted, n_equalities, rounding, part)

    if bounds is None:
        matrix, both = weighed(None)
        return _direction(combined(rows, both), matrix, both, n_losses)
    free = [torch.ones_like(parameter) for parameter in parameters]
    blocking = BlockedSets()
    while True:
        matrix, both = weighed(free)
        gradient = combined(rows, both)
        blocked = [
            bounds.blocked(place, parameter, d)
            for place, (parameter, d) in enumerate(zip(parameters, gradient, strict=True))
        ]
        proposed = blocking.next([(~part).to(mask.dtype) for part, mask in zip(blocked, free, strict=True)], free)
        if proposed is None:
            gradient = [None if d is None else d * mask for d, mask in zip(gradient, free, strict=True)]
            return _direction(gradient, matrix, both, n_losses)
        free = proposed


class BlockedSets:
    """Which coordinates are held at their bounds: found by trying, each set once, then only by holding more."""

    def __init__(self) -> None:
        self.seen: list[list[Tensor]] = []

    def next(self, proposed: list[Tensor], free: list[Tensor]) -> list[Tensor] | None:
        """The free coordinates to try next; None where those that were tried are confirmed."""
        self.seen.append(free)
        if any(_same(proposed, other) for other in self.seen[:-1]):
            proposed = [new * old for new, old in zip(proposed, free, strict=True)]
        return None if _same(proposed, free) else proposed


def _same(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    return all(bool(torch.equal(a, b)) for a, b in zip(one, other, strict=True))


def _direction(gradient: list[Tensor | None], matrix: Matrix, both: Vector, n_losses: int) -> Direction:
    return Direction(gradient, both[:n_losses], both[n_losses:], matrix[:n_losses] @ both)


def projected_gramian(gramian: Matrix, n_losses: int, active: NDArray[np.intp], part: Matrix | None = None) -> Matrix:
    """Gram matrix of the losses' gradients after projection on the null space of constraints' gradients.

    It is the Schur complement C_GG - C_GJ C_JJ^+ C_JG: no projection of long vectors is computed.

    Arguments:
        gramian: of m losses and k constraints, shape (m + k, m + k).
        n_losses: m.
        active: which constraints, counted from 0.
        part: the same summed over some coordinates, where only those of the projected gradients are to be measured.

    Returns:
        Shape (m, m).
    """
    losses, rows = np.arange(n_losses), n_losses + active
    if not len(rows):
        return (gramian if part is None else part)[:n_losses, :n_losses]
    cross = gramian[np.ix_(rows, losses)]
    solved = _solve(gramian[np.ix_(rows, rows)], cross)
    if part is None:
        found = gramian[:n_losses, :n_losses] - cross.T @ solved
    else:  # of G - solved^T J, whose every entry is known from the two matrices
        mixed = part[np.ix_(rows, losses)].T @ solved
        found = part[:n_losses, :n_losses] - mixed - mixed.T + solved.T @ part[np.ix_(rows, rows)] @ solved
    found = (found + found.T) / 2
    # At a vertex constraints leave nothing of a gradient but rounding, whose sign would be anything.
    nothing = np.diag(found) <= RANK * np.diag(gramian if part is None else part)[:n_losses]
    found[nothing, :] = found[:, nothing] = 0.0
    return found


def constrained_weights(
    choose: Choose,
    gramian: Matrix,
    n_losses: int,
    wanted: Vector,
    n_equalities: int,
    rounding: float = 0.0,
    part: Matrix | None = None,
) -> Vector:
    """Weights of m losses and multipliers of k constraints, by the Gram matrix of all.

    Arguments: as for `find_direction`, and
        rounding: relative, of the gradients' number format.
        part: as for `projected_gramian`.

    Returns:
        alpha and nu, shape (m + k,).

    Raises:
        ValueError: a gradient is not finite.
    """
    check_finite(gramian, n_losses)
    n_constraints = len(wanted)
    if not n_constraints:
        return choose(gramian)
    everything = np.arange(n_constraints)
    lengths = np.sqrt(np.diag(gramian)[n_losses:])
    units = np.where(lengths > 0, lengths, 1.0)
    inner = gramian[n_losses:, n_losses:] / np.outer(units, units)
    # Contradicting constraints have no solution; a ridge gives the least infeasible direction instead.
    contradicting = float(np.linalg.eigvalsh(inner)[0]) < ROUNDING * rounding
    inner = inner + max(RIDGE, ROUNDING * rounding * contradicting) * np.eye(n_constraints)
    held = active = everything[:n_equalities]
    seen: set[tuple[int, ...]] = set()
    while True:
        seen.add(tuple(active))
        alpha = choose(projected_gramian(gramian, n_losses, active, part))
        lacking = (wanted - gramian[n_losses:, :n_losses] @ alpha) / units
        lower = np.where(np.isin(everything, held), -np.inf, 0.0)
        nu = bounded_quadratic(inner, lacking, lower, np.full(n_constraints, np.inf)) / units
        binding = everything[np.isin(everything, held) | (nu > 0)]
        if tuple(binding) == tuple(active):
            return np.concatenate([alpha, nu])
        if tuple(binding) in seen:
            # Weights that are chosen without a constraint cross it, and those chosen along it leave it: it is held like
            # an equality, so that what the weights promise for steps along it is kept.
            held = binding = np.union1d(active, binding)
        active = binding


def _side(name: str, side: object) -> float | list[Tensor]:
    """One side of a box: a float, or a list of tensors."""
    try:
        if isinstance(side, float | int | np.number) or (isinstance(side, Tensor | np.ndarray) and side.ndim == 0):
            return float(side)
        if isinstance(side, Sequence) and not isinstance(side, str):
            return [torch.as_tensor(bound) for bound in side]
    except (TypeError, ValueError, RuntimeError):
        pass
    raise ValueError(
        f"The {name} bound is {side!r}; give a number for all parameters, or a list with a tensor for each."
    )


def _solve(matrix: Matrix, right: Matrix) -> Matrix:
    """Least-squares solution with a symmetric matrix whose rank may be short."""
    lengths = np.sqrt(np.diag(matrix))
    units = np.where(lengths > 0, lengths, 1.0)
    values, vectors = np.linalg.eigh(matrix / np.outer(units, units))
    kept = values > RANK * max(float(values.max(initial=0.0)), 1e-300)
    solved = vectors[:, kept] @ ((vectors[:, kept].T @ (right / units[:, None])) / values[kept, None])
    return solved / units[:, None]
