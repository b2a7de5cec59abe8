"""How far seeds lie apart where each network has few of them: one deviation, pooled over networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from ib_analysis.information.intervals import Interval

__all__ = ["SeedDeviation", "means_over_seeds", "seed_deviation"]


@dataclass(frozen=True)
class SeedDeviation:
    """Standard deviation of a single seed.

    Arguments:
        deviation: in the unit of the values; nan without degrees of freedom.
        degrees: of freedom of its estimate; 0 with one seed.
    """

    deviation: float
    degrees: int


def seed_deviation(values: np.ndarray, paired: bool = False) -> SeedDeviation:
    """The deviation of seeds around each network's mean, taken to be the same for all networks.

    Two seeds of one network say next to nothing of their spread (a t-interval of one degree of freedom is six times as
    wide as a normal one); those of all networks together say enough.

    Arguments:
        values: shape (S, P): S seeds of P networks.
        paired: take out what a seed does to all networks alike, which no difference of networks contains: the residual
            of the randomised block design, with (P - 1)(S - 1) degrees of freedom (Montgomery 2012, Design and Analysis
            of Experiments, section 4.1). Else P (S - 1).

    >>> seed_deviation(np.array([[1.0, 5.0], [3.0, 7.0]]))
    SeedDeviation(deviation=1.414..., degrees=2)
    >>> seed_deviation(np.array([[1.0, 5.0], [3.0, 7.0]]), paired=True)
    SeedDeviation(deviation=0.0, degrees=1)
    """
    seeds, networks = values.shape
    residuals = values - values.mean(axis=0)
    degrees = networks * (seeds - 1)
    if paired:
        residuals = residuals - residuals.mean(axis=1, keepdims=True)
        degrees -= seeds - 1
    if degrees == 0:
        return SeedDeviation(math.nan, 0)
    return SeedDeviation(math.sqrt(float((residuals**2).sum()) / degrees), degrees)


def means_over_seeds(values: np.ndarray, over_images: Sequence[Interval], confidence: float = 0.95) -> list[Interval]:
    """Means over seeds, each with an interval for new seeds and images.

    The seeds' half-width is a t-interval with the deviation pooled over the networks; that of the images is added in
    quadrature. With one seed the intervals are those over images alone.

    Arguments:
        values: shape (S, P): S seeds of P networks.
        over_images: P intervals of the means over seeds, over images.
        confidence: level of the intervals, and that of those over images.

    >>> over_images = [Interval(2.0, 2.0, 2.0), Interval(6.0, 6.0, 6.0)]
    >>> first, _ = means_over_seeds(np.array([[1.0, 5.0], [3.0, 7.0]]), over_images)
    >>> first.estimate, round(first.high - 2, 3)  # t = 4.303 with two degrees of freedom, times sqrt(2) / sqrt(2)
    (2.0, 4.303)
    """
    found = seed_deviation(values)
    half_width = 0.0
    if found.degrees:
        half_width = float(stdtrit(found.degrees, (1 + confidence) / 2)) * found.deviation / math.sqrt(len(values))
    return [
        Interval(
            float(centre),
            float(centre) - math.hypot(half_width, interval.estimate - interval.low),
            float(centre) + math.hypot(half_width, interval.high - interval.estimate),
        )
        for centre, interval in zip(values.mean(axis=0), over_images, strict=True)
    ]
