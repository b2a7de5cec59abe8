"""The entropy of a layer of very few bits from counts over the images at hand, with what counting can be off by.

Where nobody knows how images are distributed, a layer can still be counted. The count is an estimate from a sample: too
small by a bias that is bounded, and worthless where nearly every image has a value of its own, as it then approaches
log2 of the number of images whatever the layer holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ib_analysis.information.intervals import Interval

__all__ = ["MOST_IMAGES", "PlugIn", "count_codes", "plug_in"]

MOST_IMAGES = 60_000
"""Images that are counted at most."""
SATURATION_BITS = 1.0
"""A count this near to log2 N says more about N than about the layer: a value then has two images or so."""
CONFIDENCE_FACTOR = 1.96


@dataclass(frozen=True)
class PlugIn:
    """What counting tells of H(H) = I(X;H), in bits.

    Arguments:
        entropy: of the empirical distribution; its interval covers the choice of images (95 %), and its upper end the
            bias besides.
        bias_bits: what the estimate can be too small by in expectation.
        n_images: that were counted.
        n_values: that were seen.
        saturated: whether the estimate is near log2 of the number of images.
    """

    entropy: Interval
    bias_bits: float
    n_images: int
    n_values: int
    saturated: bool


def plug_in(counts: np.ndarray, bits: int) -> PlugIn:
    """The plug-in entropy of a layer of so many bits.

    The bias lies between -log2(1 + (2^bits - 1) / N) and 0 (Paninski 2003, Neural Computation 15:1191, proposition 1).
    The spread over images is that of -log2 of the shares, by the delta method.

    Arguments:
        counts: shape (values seen,), how many of the N images have each value.
        bits: of all units of the layer together.

    Raises:
        ValueError: nothing was counted.

    >>> found = plug_in(np.array([15_000] * 4), bits=2)
    >>> found.entropy.estimate, round(found.bias_bits, 5), found.saturated
    (2.0, 7e-05, False)
    >>> plug_in(np.ones(1000, dtype=int), bits=12).saturated
    True
    """
    counts = np.asarray(counts)[np.asarray(counts) > 0]
    n_images = int(counts.sum())
    if n_images == 0:
        raise ValueError("no image was counted")
    shares = counts / n_images
    surprise = -np.log2(shares)
    entropy = float(shares @ surprise) + 0.0  # a single value gives 0, not -0
    half = CONFIDENCE_FACTOR * math.sqrt(max(0.0, float(shares @ (surprise - entropy) ** 2)) / n_images)
    bias = math.log2(1 + (2**bits - 1) / n_images)
    interval = Interval(entropy, max(0.0, entropy - half), min(float(bits), entropy + half + bias))
    return PlugIn(interval, bias, n_images, len(counts), entropy > math.log2(n_images) - SATURATION_BITS)


def count_codes(codes: np.ndarray, bits: int) -> np.ndarray:
    """How often each value of a layer occurs.

    Arguments:
        codes: shape (N, units), whole numbers of `bits` bits from 0 on.
        bits: of a code.

    Returns:
        Counts of the values seen, in the order of the values.

    >>> count_codes(np.array([[0, 1], [1, 1], [0, 1]]), bits=1).tolist()
    [2, 1]
    """
    values = codes.astype(np.int64) @ (1 << (bits * np.arange(codes.shape[1], dtype=np.int64)))
    return np.unique(values, return_counts=True)[1]
