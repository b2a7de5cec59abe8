"""Whether one way of making classifiers is better than another: accuracies paired by seed and image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from ib_analysis.information.intervals import paired_bootstrap_interval
from ib_analysis.information.seed_spread import SeedSpread, spread_over_seeds

__all__ = ["Verdict", "paired_difference", "verdict_of"]

Verdict = Literal["better", "worse", "undecided", "one_seed"]


def paired_difference(
    first: Mapping[int, np.ndarray], second: Mapping[int, np.ndarray], confidence: float, resamples: int
) -> SeedSpread:
    """Accuracy of the first minus that of the second, mean over seeds.

    Each seed's difference is paired image by image; their mean has a t-interval over seeds, and that over images in
    quadrature. With one seed the interval is over images alone.

    Arguments:
        first, second: seed -> shape (N,), 0 or 1: whether the network is right about each image. Equal seeds share the
            order of images and their augmentation.
        confidence: level of the interval.
        resamples: of the bootstrap over images.

    Raises:
        ValueError: the two do not have the same seeds.

    >>> right, wrong = np.ones(4), np.zeros(4)
    >>> paired_difference({0: right, 1: right}, {0: wrong, 1: wrong}, 0.95, 20).mean
    Interval(estimate=1.0, low=1.0, high=1.0)
    """
    if set(first) != set(second):
        raise ValueError(f"seeds {sorted(first)} and {sorted(second)} cannot be paired.")
    by_seed = {
        (seed, 0): paired_bootstrap_interval(first[seed].astype(float) - second[seed], confidence, resamples)
        for seed in first
    }
    return spread_over_seeds(by_seed, confidence)


def verdict_of(difference: SeedSpread, n_seeds: int) -> Verdict:
    """What a difference says of the first: `one_seed` where the spread of seeds is not known.

    >>> from ib_analysis.information.intervals import Interval
    >>> found = SeedSpread(Interval(0.02, 0.01, 0.03), 0.015, 0.025)
    >>> verdict_of(found, 3), verdict_of(found, 1)
    ('better', 'one_seed')
    """
    if n_seeds < 2:
        return "one_seed"
    return "better" if difference.mean.low > 0 else "worse" if difference.mean.high < 0 else "undecided"
