"""A mean over seeds: its interval for new seeds, and how far single runs lie apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from ib_analysis.information.intervals import Interval

__all__ = ["SeedSpread", "spread_over_seeds"]


@dataclass(frozen=True)
class SeedSpread:
    """A quantity over the seeds of one experiment, in the unit of the quantity.

    Arguments:
        mean: over encoder seeds, with its interval for new seeds and images.
        lowest, highest: of single runs.
    """

    mean: Interval
    lowest: float
    highest: float


def spread_over_seeds(runs: Mapping[tuple[int, int], Interval], confidence: float = 0.95) -> SeedSpread:
    """Mean over seeds with a t-interval, and the range of single runs.

    The units are encoder seeds, each the mean of its decoders, which share its fortune; with a single encoder they are
    its decoder seeds. All runs are judged by the same images, whose part their spread does not show: the mean
    half-width of the runs' own intervals, which are over images, is added in quadrature. It is no less than that of the
    mean, so that the interval is rather too wide.

    Arguments:
        runs: (encoder seed, decoder seed) -> the run's estimate with its interval over images; at least one.
        confidence: level of the interval, and that of the runs' own.

    Raises:
        ValueError: there is no run.

    >>> narrow = {(seed, 0): Interval(bits, bits, bits) for seed, bits in enumerate([4.0, 5.0, 6.0])}
    >>> found = spread_over_seeds(narrow)
    >>> found.mean.estimate, round(found.mean.high - 5.0, 3)  # t = 4.303 with two degrees of freedom, over sqrt(3)
    (5.0, 2.484)
    >>> found.lowest, found.highest
    (4.0, 6.0)
    """
    if not runs:
        raise ValueError("A mean over seeds needs at least one run.")
    if len(runs) == 1:
        (only,) = runs.values()
        return SeedSpread(only, only.estimate, only.estimate)
    encoders = {encoder for encoder, _ in runs}
    units: dict[int, list[float]] = {}
    for (encoder, decoder), interval in runs.items():
        units.setdefault(encoder if len(encoders) > 1 else decoder, []).append(interval.estimate)
    means = np.array([np.mean(values) for values in units.values()])
    quantile = float(stdtrit(len(means) - 1, (1 + confidence) / 2))
    over_seeds = quantile * float(means.std(ddof=1)) / math.sqrt(len(means))
    over_images = float(np.mean([(interval.high - interval.low) / 2 for interval in runs.values()]))
    centre, half_width = float(means.mean()), math.hypot(over_seeds, over_images)
    estimates = [interval.estimate for interval in runs.values()]
    return SeedSpread(Interval(centre, centre - half_width, centre + half_width), min(estimates), max(estimates))
