"""The three rewards of MONAS (Hsu et al. 2018, arXiv 1806.10332), of accuracy and what a device spends.

Accuracy and cost are shares: 0 at the problem's reference and 1 at its ideal for the accuracy, 0 at the ideal and 1 at
the reference for the cost. `Monas` cuts both off at the references, so that a network that learned nothing is no more
than worthless.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["REWARDS", "WEIGHTS", "Reward", "limit_on_accuracy", "limit_on_device", "mixed"]

Shares = NDArray[np.float64]
Reward = Callable[[Shares, Shares, float], Shares]
"""(accuracy, cost, parameter) -> reward, shape (N,) each but the parameter."""


def mixed(accuracy: Shares, cost: Shares, weight: float) -> Shares:
    """weight accuracy - (1 - weight) cost.

    >>> mixed(np.array([0.8]), np.array([0.4]), 0.5)
    array([0.2])
    """
    return weight * accuracy - (1 - weight) * cost


def limit_on_device(accuracy: Shares, cost: Shares, limit: float) -> Shares:
    """The accuracy where the cost is at most the limit, else 0.

    >>> limit_on_device(np.array([0.8, 0.9]), np.array([0.4, 0.6]), 0.5)
    array([0.8, 0. ])
    """
    return np.where(cost <= limit, accuracy, 0.0)


def limit_on_accuracy(accuracy: Shares, cost: Shares, limit: float) -> Shares:
    """What is saved of the cost where the accuracy is at least the limit, else 0.

    >>> limit_on_accuracy(np.array([0.8, 0.9]), np.array([0.25, 0.5]), 0.85)
    array([0. , 0.5])
    """
    return np.where(accuracy >= limit, 1 - cost, 0.0)


WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Weights of the accuracy in the mixed reward, for which one controller is trained in turn where a front is wanted."""

REWARDS: dict[str, Reward] = {
    "mixed": mixed,
    "limit_on_device": limit_on_device,
    "limit_on_accuracy": limit_on_accuracy,
}
"""By name."""
