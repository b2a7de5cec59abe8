"""The rule itself: what of a number that was measured twice a far longer fit must find.

A rule says: the number that endless fitting would give on these images lies in [low, high + change]. The longer fit
stands for it. Both fits are measured on the same evaluation images, so that the luck of their draw moves both numbers
alike: the longer fit's number has no error of sampling of its own *on these images*, and is a point that the interval
has to contain. By the same token the interval's own width, which is made for other images, is a help that the rule does
not deserve: by how much the longer fit is above is therefore also compared image by image with the change alone.
What a comparison with one longer fit leaves out is the noise of fits (the same first weights and minibatches, but
another course) and all that a still longer one would find.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ib_analysis.information.intervals import Bootstrap, Interval, paired_bootstrap_interval

__all__ = ["Prediction", "Share", "added_information", "prediction", "share_of", "within_change"]


def added_information(code_lengths: np.ndarray, longer: np.ndarray, bootstrap: Bootstrap) -> Interval:
    """What a longer fit adds to I(X;H), with its paired interval; L0 cancels.

    Arguments:
        code_lengths, longer: shape (N,): L of the same images in bits, by the experiment's fit and by the longer one.

    Raises:
        ValueError: the arrays do not describe the same images.
    """
    own, other = np.asarray(code_lengths, dtype=np.float64), np.asarray(longer, dtype=np.float64)
    if own.shape != other.shape or own.ndim != 1:
        raise ValueError(
            f"Code lengths of the same images are compared: shapes (N,) and (N,), not {own.shape} and {other.shape}."
        )
    return paired_bootstrap_interval(own - other, bootstrap.confidence, bootstrap.n_resamples, bootstrap.seed)


def within_change(added: Interval, change_bits: float) -> bool:
    """Whether a longer fit added no more than the last doubling of the steps did, as far as its interval tells.

    >>> within_change(Interval(1.0, 0.8, 1.2), 0.9), within_change(Interval(1.0, 0.8, 1.2), 0.7)
    (True, False)
    >>> within_change(Interval(-0.1, -0.2, 0.0), -3.0)  # a number that fell: nothing may be added, and nothing is
    True
    """
    return added.low <= max(change_bits, 0.0)


class Share(NamedTuple):
    """How many of how many, with Wilson's 95 % interval of the share (Wilson 1927)."""

    kept: int
    of: int
    low: float
    high: float

    def __str__(self) -> str:
        if not self.of:
            return "0 of 0"
        return f"{self.kept} of {self.of} ({self.kept / self.of:.0%}; 95 % interval {self.low:.0%} to {self.high:.0%})"


def share_of(kept: Sequence[bool]) -> Share:
    """Count, with the interval that cells would have if they were independent; those of one decoder are not quite.

    >>> str(share_of([True] * 9 + [False]))
    '9 of 10 (90%; 95 % interval 60% to 98%)'
    """
    from scipy.stats import binomtest  # a second, which not every command needs

    if not len(kept):
        return Share(0, 0, 0.0, 1.0)
    found = binomtest(sum(kept), len(kept)).proportion_ci(method="wilson")
    return Share(sum(kept), len(kept), float(found.low), float(found.high))


@dataclass(frozen=True)
class Prediction:
    """Whether the measured change tells what a longer fit adds.

    Arguments:
        rank_correlation: Spearman's, of change and added bits over cells; None for fewer than 3, or all alike.
        ratio_quantiles: the 10, 50 and 90 % quantiles of added / change, over cells whose change is above 0; None
            without such a cell.
        n_risen: these cells.
    """

    rank_correlation: float | None
    ratio_quantiles: tuple[float, float, float] | None
    n_risen: int


def prediction(changes_bits: Sequence[float], added_bits: Sequence[float]) -> Prediction:
    """Compare two columns of bits, cell by cell; pairs with what is no number are left out.

    >>> prediction([1.0, 2.0, 4.0, -1.0], [0.5, 1.0, 2.0, 0.0])
    Prediction(rank_correlation=1.0, ratio_quantiles=(0.5, 0.5, 0.5), n_risen=3)
    """
    from scipy.stats import spearmanr

    change, added = np.asarray(changes_bits, dtype=np.float64), np.asarray(added_bits, dtype=np.float64)
    finite = np.isfinite(change) & np.isfinite(added)
    change, added = change[finite], added[finite]
    varied = len(change) >= 3 and np.ptp(change) > 0 and np.ptp(added) > 0
    risen = change > 0
    quantiles = np.quantile(added[risen] / change[risen], [0.1, 0.5, 0.9]) if risen.any() else None
    return Prediction(
        float(np.round(spearmanr(change, added).statistic, 12)) if varied else None,
        None if quantiles is None else (float(quantiles[0]), float(quantiles[1]), float(quantiles[2])),
        int(risen.sum()),
    )
