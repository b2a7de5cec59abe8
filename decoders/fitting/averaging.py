"""Averages of the weights over the steps of a fit: these are evaluated, not the last noisy weights."""

from __future__ import annotations

import math

from torch import Tensor

__all__ = ["averaging_weight", "update_average"]


def averaging_weight(update: int, decay: float, power: float = 0.0) -> float:
    """Weight of the newest value in the average after its ``update``-th value (1 is the first).

    With ``power`` 0, ``average += weight * (value - average)`` makes the exponential average with bias
    correction, sum_i (1 - d) d^(t-i) w_i / (1 - d^t) (Kingma & Ba 2014, arXiv 1412.6980, section 3): its
    weights sum to one from the first update on, so the average is never "broken" at the start. That sum obeys
    average_t = average_(t-1) + a_t (w_t - average_(t-1)) with a_t = (1 - d) / (1 - d^t), the value returned.

    With ``power`` > 0 it is at least (power + 1) / (power + t), the polynomial-decay averaging of Shamir &
    Zhang (2013, arXiv 1212.1824, section 4), which forgets the start of a fit shorter than 1 / (1 - d) steps.

    Example:
        >>> averaging_weight(1, 0.9995)
        1.0
        >>> round(averaging_weight(10**6, 0.9995, power=8.0), 9)
        0.0005
    """
    # 1 - d^t without cancellation; d = 0 keeps the newest value.
    total = -math.expm1(update * math.log(decay)) if decay > 0 else 1.0
    return min(1.0, max((1 - decay) / total, (power + 1) / (power + update)))


def update_average(average: Tensor, value: Tensor, update: int, decay: float, power: float = 0.0) -> None:
    """Take ``value`` into ``average`` (in place) as its ``update``-th value (1 is the first)."""
    average.lerp_(value, averaging_weight(update, decay, power))
