"""The data-processing inequality along a network's layers, from code lengths alone.

For layers in the order of computation, X -> H1 -> H2 -> ..., Shannon's information cannot rise: I(X;H2) <= I(X;H1)
(Cover & Thomas 2006, theorem 2.8.1). Usable information can (Xu et al. 2020, arXiv 2002.10689, section 3). How much of
it goes from one layer to the next,

    loss = I_V(X; earlier) - I_V(X; later) = mean(L_later - L_earlier),

is a difference of code lengths of the same images, which contains neither L0 nor H(X). A loss whose interval lies
below zero is a violation. Many pairs are looked at, so the intervals' upper ends hold for all of them at once.
"""

from __future__ import annotations

import math

import numpy as np

from ib_analysis.information.intervals import Bootstrap, Interval
from ib_analysis.information.phases import contrast_from_draws, studentised_differences

__all__ = ["losses_along_layers"]


def losses_along_layers(code_lengths: np.ndarray, bootstrap: Bootstrap | None = None) -> list[list[Interval]]:
    """Bits lost from each layer to the next, in every chain of layers.

    The upper ends are simultaneous (studentised bootstrap of the maximum, see `ib_analysis.information.phases`): where
    no pair of any chain gains information, one or more of them lie below zero with probability
    (1 - confidence) / 2 at most, up to the bootstrap's error. The lower ends hold each for its own pair.

    Arguments:
        code_lengths: shape (chains, layers, N): L in bits of the same N images in every chain (a network at an epoch
            under a decoder), layers in the order of computation.
        bootstrap: confidence, number of resamples and seed.

    Returns:
        For each chain the layers - 1 losses. A pair with a code length that is not finite has nan for all numbers,
        and the others are judged without it.

    Raises:
        ValueError: fewer than two layers or images, or no chain.

    >>> rng = np.random.default_rng(0)
    >>> levels = np.array([[10.0, 12.0, 11.0]])  # the third layer is coded better than the second
    >>> first, second = losses_along_layers(levels[..., None] + rng.normal(size=(1, 3, 400)))[0]
    >>> first.low > 0, second.high < 0
    (True, True)
    """
    lengths = np.asarray(code_lengths, dtype=np.float64)
    if lengths.ndim != 3 or len(lengths) < 1 or min(lengths.shape[1:]) < 2:
        raise ValueError(
            "Code lengths of at least one chain, two layers and two images are needed, shape (chains, layers, images), "
            f"not {lengths.shape}."
        )
    chains, layers, n = lengths.shape
    settings = bootstrap or Bootstrap()
    rows = np.arange(chains * layers).reshape(chains, layers)
    earlier, later = rows[:, :-1].ravel(), rows[:, 1:].ravel()
    information = -lengths.reshape(-1, n)
    finite = np.asarray(np.isfinite(information).all(axis=1))
    judged = finite[earlier] & finite[later]
    found = [Interval(math.nan, math.nan, math.nan)] * len(earlier)
    if judged.any():
        gains = contrast_from_draws(
            0,
            *studentised_differences(information, earlier[judged], later[judged], settings),
            settings.confidence,
        )
        # A gain's lower ends hold for all at once; the reference, which stands first, is no pair.
        ends = zip(gains.estimate[1:], gains.low[1:], gains.high[1:], strict=True)
        for place, (gain, low, high) in zip(np.flatnonzero(judged), ends, strict=True):
            found[place] = Interval(-float(gain), -float(high), -float(low))
    pairs = layers - 1
    return [found[start : start + pairs] for start in range(0, len(found), pairs)]
