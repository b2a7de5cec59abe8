"""Pareto points that are known in closed form, and starts to reach them from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ib_analysis.pareto.problems import Problem, bnh, dtlz1, dtlz2, gaussian_wells, zdt1, zdt2

# preference -> s of the point x = s / sqrt n of the two wells
WELLS = {
    (0.987688, 0.156434): 0.602384853,
    (0.838671, 0.544639): 0.181210400,
    (0.544639, 0.838671): -0.181210400,
    (0.156434, 0.987688): -0.602384853,
}


def wells_losses(s: float) -> np.ndarray:
    return -np.expm1([-((1 - s) ** 2), -((1 + s) ** 2)])


def wells_start(n_variables: int, s: float, kind: str, seed: int = 0) -> Tensor:
    """`easy`: near the middle; `hard`: off the front, near the end that the preference does not want."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(n_variables, generator=generator, dtype=torch.float64) / math.sqrt(n_variables)
    if kind == "easy":
        return 0.3 * noise
    return -math.copysign(0.95, s) / math.sqrt(n_variables) + 0.1 * noise


@dataclass(frozen=True)
class Known:
    problem: Problem
    preference: tuple[float, ...]
    losses: tuple[float, ...]
    start: Tensor
    exact: bool = True


def _uniform(n_variables: int, seed: int) -> Tensor:
    return torch.rand(n_variables, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _near_best(start: Tensor, n_free: int) -> Tensor:
    start[n_free:] = 0.5 + 0.04 * (start[n_free:] - 0.5)  # within one of DTLZ1's many basins
    return start


def _first(x: Tensor) -> Tensor:
    return x[:1]


def _oblique(x: Tensor) -> Tensor:
    return (x.sum() / math.sqrt(len(x)) - 0.4)[None]


ENDS, MIDDLE = tuple(WELLS)[:2]

CONSTRAINED = {
    "BNH, interior": Known(bnh(), (1, 1), (22.222222, 22.222222), torch.tensor([4.0, 0.5])),
    "BNH, corner of the box": Known(bnh(), (1 / 9, 1), (72, 8), torch.tensor([1.0, 1.0])),
    "BNH, x2 = 3 active": Known(bnh(), (0.08, 1), (82.142951961, 6.571436157), torch.tensor([0.1, 2.9])),
    "ZDT1, lower bounds": Known(zdt1(), (0.8, 0.2), (0.152402949, 0.609611797), _uniform(30, 0)),
    "ZDT2, lower bounds": Known(zdt2(), (0.5, 0.5), (0.618033989, 0.618033989), _uniform(30, 1)),
    "DTLZ2": Known(dtlz2(), (1, 2, 3), (6 / 7, 3 / 7, 2 / 7), _uniform(12, 2)),
    "DTLZ1": Known(dtlz1(), (1, 2, 3), (3 / 11, 3 / 22, 1 / 11), _near_best(_uniform(7, 3), 2)),
    "wells, equality, middle": Known(
        gaussian_wells(20, equalities=_first), MIDDLE, (0.488973604, 0.752953757), _uniform(20, 4) - 0.5
    ),
    "wells, equality, end": Known(
        gaussian_wells(20, equalities=_first), ENDS, (0.147410073, 0.930713018), _uniform(20, 5) - 0.5
    ),
    "wells, oblique inequality": Known(
        gaussian_wells(20, inequalities=_oblique), ENDS, (0.302323674, 0.859141579), _uniform(20, 6) - 0.5, exact=False
    ),
    "wells, box": Known(
        gaussian_wells(20, upper=torch.full((20,), 0.4 / math.sqrt(20), dtype=torch.float64)),
        ENDS,
        (0.302323674, 0.859141579),
        _uniform(20, 7) - 0.5,
        exact=False,
    ),
    "wells + 0.4, no exact point": Known(
        gaussian_wells(20, offset=0.4), ENDS, (0.4, 1.4 - math.exp(-4)), _uniform(20, 8) - 0.5, exact=False
    ),
}
