"""Problems whose Pareto points are known: for tests, benchmarks and first steps.

Each is a `Problem` of double-precision tensors; bounds and constraints are part of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Problem", "bnh", "dtlz1", "dtlz2", "gaussian_wells", "zdt1", "zdt2"]

Functions = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Problem:
    """Losses of a vector, and what it must satisfy.

    Raises:
        ValueError: bounds of another shape than (n,), or lower ones above upper ones.
    """

    losses: Functions
    """(n,) -> (m,), positive."""

    n_variables: int
    """n."""

    n_losses: int
    """m."""

    equalities: Functions | None = None
    """(n,) -> (k,), to be 0."""

    inequalities: Functions | None = None
    """(n,) -> (k,), to be at most 0."""

    lower: Tensor | None = None
    """Shape (n,): least values."""

    upper: Tensor | None = None
    """Shape (n,): largest values."""

    def __post_init__(self) -> None:
        for name in ("lower", "upper"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, torch.as_tensor(getattr(self, name), dtype=torch.float64))
        for name, bound in (("lower", self.lower), ("upper", self.upper)):
            if bound is not None and torch.as_tensor(bound).shape != (self.n_variables,):
                raise ValueError(
                    f"The {name} bounds have shape {tuple(torch.as_tensor(bound).shape)}; the problem needs "
                    f"{self.n_variables} numbers, of shape ({self.n_variables},)."
                )
        if self.lower is not None and self.upper is not None and bool((self.lower > self.upper).any()):
            raise ValueError("The box is empty: a lower bound is above its upper bound.")

    def check_functions(self, x: Tensor) -> None:
        """Refuse functions that give no vector.

        Arguments:
            x: where they are tried, shape (n,).

        Raises:
            ValueError: naming the function and what it gives.
        """
        for name in ("losses", "equalities", "inequalities"):
            function = getattr(self, name)
            if function is None:
                continue
            found = function(x)
            if not isinstance(found, Tensor) or found.ndim != 1:
                what = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
                raise ValueError(
                    f"{name} of the problem give {what}; they must give a vector, as torch.stack([...]) does."
                )


def gaussian_wells(n_variables: int = 20, offset: float = 0.0, **constraints: Functions | Tensor | None) -> Problem:
    """Two wells, l = 1 - exp(-|x -+ 1/sqrt n|^2): the first problem of Mahapatra & Rajan (2020).

    The front is x = s / sqrt n with s from -1 to 1, concave in the losses for |s| < 0.707: sums of losses have no
    minimum there.

    Arguments:
        n_variables: n.
        offset: added to both losses; with it, some preferences have no exact point.
        constraints: fields of `Problem`.

    >>> gaussian_wells(4).losses(torch.full((4,), 0.5, dtype=torch.float64)).round(decimals=4)
    tensor([0.0000, 0.9817], dtype=torch.float64)
    """
    centre = 1 / math.sqrt(n_variables)

    def losses(x: Tensor) -> Tensor:
        distances = torch.stack([(x - centre).square().sum(), (x + centre).square().sum()])
        return offset - torch.expm1(-distances)

    return Problem(losses, n_variables, 2, **constraints)  # type: ignore[arg-type]


def bnh() -> Problem:
    """Binh & Korn (1997): two quadratics of two variables, two circles as constraints, a box."""

    def losses(x: Tensor) -> Tensor:
        return torch.stack([4 * x.square().sum(), (x - 5).square().sum()])

    def inequalities(x: Tensor) -> Tensor:
        return torch.stack([(x[0] - 5) ** 2 + x[1] ** 2 - 25, 7.7 - (x[0] - 8) ** 2 - (x[1] + 3) ** 2])

    return Problem(
        losses, 2, 2, inequalities=inequalities, lower=torch.zeros(2).double(), upper=torch.tensor([5.0, 3.0]).double()
    )


def zdt1(n_variables: int = 30) -> Problem:
    """Zitzler, Deb & Thiele (2000), test function 1: convex front f2 = 1 - sqrt f1, where all but x_1 are at a bound.

    The gradient of f2 is infinite at x_1 = 0.
    """
    return _zdt(n_variables, lambda first, g: g * (1 - torch.sqrt(first / g)))


def zdt2(n_variables: int = 30) -> Problem:
    """Zitzler, Deb & Thiele (2000), test function 2: concave front f2 = 1 - f1^2."""
    return _zdt(n_variables, lambda first, g: g * (1 - (first / g) ** 2))


def dtlz1(n_variables: int = 7, n_losses: int = 3) -> Problem:
    """Deb, Thiele, Laumanns & Zitzler (2002), problem 1: the front is the plane sum(f) = 1/2; many local fronts."""

    def losses(x: Tensor) -> Tensor:
        rest = x[n_losses - 1 :] - 0.5
        g = 100 * (len(rest) + (rest.square() - torch.cos(20 * math.pi * rest)).sum())
        return 0.5 * (1 + g) * _products(x[: n_losses - 1], 1 - x[: n_losses - 1])

    return _unit_box(losses, n_variables, n_losses)


def dtlz2(n_variables: int = 12, n_losses: int = 3) -> Problem:
    """Deb, Thiele, Laumanns & Zitzler (2002), problem 2: the front is the positive part of the unit sphere."""

    def losses(x: Tensor) -> Tensor:
        angles = x[: n_losses - 1] * math.pi / 2
        return (1 + (x[n_losses - 1 :] - 0.5).square().sum()) * _products(torch.cos(angles), torch.sin(angles))

    return _unit_box(losses, n_variables, n_losses)


def _products(along: Tensor, across: Tensor) -> Tensor:
    """(a1 a2 ... , a1 a2 ... b_last, ..., a1 b2, b1), as DTLZ problems share it."""
    found = []
    for index in range(len(along) + 1):
        product = torch.prod(along[: len(along) - index])
        found.append(product if index == 0 else product * across[len(along) - index])
    return torch.stack(found)


def _zdt(n_variables: int, second: Callable[[Tensor, Tensor], Tensor]) -> Problem:
    def losses(x: Tensor) -> Tensor:
        return torch.stack([x[0], second(x[0], 1 + 9 * x[1:].mean())])

    return _unit_box(losses, n_variables, 2)


def _unit_box(losses: Functions, n_variables: int, n_losses: int) -> Problem:
    zeros = torch.zeros(n_variables, dtype=torch.float64)
    return Problem(losses, n_variables, n_losses, lower=zeros, upper=zeros + 1)
