"""Does a quantity move one way along a front? Spearman's rank correlation over seeds, with an exact test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

import numpy as np

__all__ = ["Monotone", "holm", "monotone"]

MOST_ENUMERATED = 8
"""Points up to which all orders are looked at (8! = 40,320); beyond, as many random ones as below."""

RANDOM_ORDERS = 200_000


@dataclass(frozen=True)
class Monotone:
    """What ranks say of a quantity along a front.

    Arguments:
        rho: Spearman's correlation with the position, mean over seeds.
        by_seed: of each seed.
        p_value: two-sided.
        steps_along: steps between neighbours, of all seeds, in the direction of rho.
        n_steps: all of them.
    """

    rho: float
    by_seed: tuple[float, ...]
    p_value: float
    steps_along: int
    n_steps: int


def monotone(values: np.ndarray) -> Monotone:
    """Judge a quantity of P points, measured with S seeds.

    The statistic is the mean over seeds of Spearman's rho of values and positions. If the position did not matter, a
    seed's values would be in any order with equal chance, and seeds independently of each other; the p-value is the
    share of all (P!)^S ways whose mean lies at least as far from 0, counted exactly by convolution. Equal values share
    their mean rank, and are judged by the distribution without ties.

    References:
        Spearman, The proof and measurement of association between two things, Am. J. Psychol. 15 (1904); exact
        permutation tests within blocks: Lehmann, Nonparametrics (1975), section 7.

    Arguments:
        values: shape (S, P), P at least 3.

    Raises:
        ValueError: fewer than 3 points.

    >>> found = monotone(np.array([[1.0, 2.0, 3.0, 5.0], [1.0, 2.0, 4.0, 6.0]]))
    >>> found.rho, round(found.p_value * 24**2), found.steps_along  # in 1 of 576 ways all rise, in 1 all fall
    (1.0, 2, 6)
    """
    n_seeds, n_points = values.shape
    if n_points < 3:
        raise ValueError(f"{n_points} points do not make a course; at least 3 are needed.")
    ranks = np.array([_mean_ranks(row) for row in values])
    places = np.arange(n_points)
    rhos = [float(np.corrcoef(places, row)[0, 1]) if np.ptp(row) else 0.0 for row in ranks]
    rho = float(np.mean(rhos))
    # rho = (sum of position x rank - mean) / scale: sums are integers, whose distribution is convolved.
    centre, scale = n_points * (n_points - 1) ** 2 / 4, n_points * (n_points**2 - 1) / 12
    one = _products(n_points)
    counts = np.ones(1)
    for _ in range(n_seeds):
        counts = np.convolve(counts, one)
    sums = np.arange(len(counts)) - n_seeds * centre
    far = np.abs(sums) >= n_seeds * scale * abs(rho) - 1e-6
    steps = np.diff(values, axis=1)
    along = int((steps > 0).sum() if rho >= 0 else (steps < 0).sum())
    return Monotone(rho, tuple(rhos), float(counts[far].sum() / counts.sum()), along, steps.size)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of several tests, so that any error among them has the level of one (Holm 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def _mean_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0; equal values have the mean of theirs."""
    below = (values[None] < values[:, None]).sum(1)
    equal = (values[None] == values[:, None]).sum(1)
    return below + (equal - 1) / 2


@lru_cache(maxsize=16)
def _products(n_points: int) -> np.ndarray:
    """How many orders pi of 0..n-1 have sum_i i pi(i) = k, at index k; of random ones where they are too many."""
    places = np.arange(n_points)
    if n_points <= MOST_ENUMERATED:
        sums = np.array(list(permutations(range(n_points)))) @ places
    else:
        rng = np.random.default_rng(0)
        sums = rng.permuted(np.tile(places, (RANDOM_ORDERS, 1)), axis=1) @ places
    found = Counter(sums.tolist())
    return np.array([found[k] for k in range(max(found) + 1)], dtype=float)
