"""Whether a layer fits and compresses at once or one after the other: the overlap of two courses over training.

Between neighbouring checkpoints k and k + 1 of one network let

    f_k = rise of I(H;Y) = mean(cross-entropy_k - cross-entropy_(k+1)),    c_k = fall of I(X;H) = mean(L_(k+1) - L_k),

mean differences over the same held-out images, in which L0 and H(Y) cancel. A step counts as a rise, or as a fall,
where its difference is above its standard error times a quantile that holds for all steps of a kind at once (normal,
Bonferroni); what does not count is taken as zero, since the positive parts of mere noise would add up. Fitting has then
the course f_k / sum f over the steps, compression c_k / sum c, and their overlap is

    sum over k of min(f_k / sum f, c_k / sum c),

1 minus the total variation distance of the two: 1 where both happen in the same steps in the same shares, 0 where no
step has both. What happens between two checkpoints cannot be told apart in time: sparse checkpoints raise the overlap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from ib_analysis.information.intervals import Bootstrap, Interval
from ib_analysis.information.phases import BATCH_NUMBERS, resample_shares

__all__ = ["Overlap", "difference_interval", "overlap_of"]


@dataclass(frozen=True)
class Overlap:
    """Fitting and compression of one layer of one network.

    Arguments:
        rises: shape (T - 1,): between which checkpoints I(H;Y) rises.
        falls: shape (T - 1,): between which I(X;H) falls.
        estimate: of the overlap, 0 to 1; NaN where nothing rises or nothing falls.
        draws: shape (B,): the same in resamples of the images, NaN likewise.
        finite: whether there was anything to judge: all numbers were finite.
    """

    rises: np.ndarray
    falls: np.ndarray
    estimate: float
    draws: np.ndarray
    finite: bool = True

    @property
    def is_known(self) -> bool:
        """Whether something rises and something falls."""
        return bool(np.isfinite(self.estimate))

    def interval(self, confidence: float) -> Interval:
        """The overlap with its interval over images; see `_percentiles`."""
        return _percentiles(self.estimate, self.draws, 0.0, 1.0, confidence)


def overlap_of(code_lengths: np.ndarray, label_bits: np.ndarray, bootstrap: Bootstrap | None = None) -> Overlap:
    """The overlap of fitting and compression of one layer.

    In resamples of the images, both quantities of an image drawn together, the same steps are tested anew: the interval
    covers which steps are found.

    Arguments:
        code_lengths: shape (T, N): L in bits of N evaluation images at T checkpoints in the order of training.
        label_bits: shape (T, N): cross-entropies of the label in bits of the same images.
        bootstrap: confidence of the test of steps, number of resamples and seed; equal seeds draw the same images.

    Raises:
        ValueError: shapes that differ, or fewer than two checkpoints or images.

    >>> rng = np.random.default_rng(0)
    >>> noise = 0.1 * rng.normal(size=(4, 400))
    >>> rise = np.array([3.0, 2.0, 1.0, 1.0])[:, None] + noise  # cross-entropy: the label is learned in two steps
    >>> at_once = overlap_of(np.array([10.0, 14.0, 18.0, 18.0])[:, None] + noise[::-1], rise)
    >>> after = overlap_of(np.array([10.0, 9.0, 9.0, 15.0])[:, None] + noise[::-1], rise)
    >>> round(at_once.estimate, 2), after.estimate, after.falls.tolist()
    (1.0, 0.0, [False, False, True])
    """
    settings = bootstrap or Bootstrap()
    lengths, labels = np.asarray(code_lengths, dtype=np.float64), np.asarray(label_bits, dtype=np.float64)
    if lengths.ndim != 2 or lengths.shape != labels.shape or min(lengths.shape) < 2:
        raise ValueError(
            f"code lengths and cross-entropies must have one shape (checkpoints, images), at least two each, not "
            f"{lengths.shape} and {labels.shape}."
        )
    n_steps, n = len(lengths) - 1, lengths.shape[1]
    if not (np.isfinite(lengths).all() and np.isfinite(labels).all()):
        nothing = np.zeros(n_steps, dtype=bool)
        return Overlap(nothing, nothing, np.nan, np.full(settings.n_resamples, np.nan), finite=False)
    steps = np.concatenate([-np.diff(labels, axis=0), np.diff(lengths, axis=0)])  # rises, then falls
    quantile = float(ndtri(1 - (1 - settings.confidence) / 2 / n_steps))
    least = quantile * steps.std(axis=1) / np.sqrt(n - 1)
    means = steps.mean(axis=1)
    rng = np.random.default_rng(settings.seed)
    batch, draws = max(1, BATCH_NUMBERS // n), []
    for begin in range(0, settings.n_resamples, batch):
        shares = resample_shares(rng, min(batch, settings.n_resamples - begin), n)
        draws.append(_overlap(shares @ steps.T, least))
    return Overlap(
        means[:n_steps] > least[:n_steps],
        means[n_steps:] > least[n_steps:],
        float(_overlap(means[None], least)[0]),
        np.concatenate(draws),
    )


def difference_interval(first: Overlap, second: Overlap, confidence: float) -> Interval:
    """The first overlap minus the second, of the same images under the same resamples.

    Raises:
        ValueError: resamples that cannot be paired.
    """
    if first.draws.shape != second.draws.shape:
        raise ValueError("the two overlaps have different numbers of resamples.")
    return _percentiles(first.estimate - second.estimate, first.draws - second.draws, -1.0, 1.0, confidence)


def _overlap(means: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Arguments: shape (B, 2 (T - 1)), rises and then falls; shape (2 (T - 1),). Returns: shape (B,)."""
    rises, falls = np.split(np.where(means > least, means, 0.0), 2, axis=1)
    with np.errstate(invalid="ignore"):  # nothing over nothing: not known
        shares = [part / part.sum(axis=1, keepdims=True) for part in (rises, falls)]
    return np.minimum(*shares).sum(axis=1)


def _percentiles(estimate: float, draws: np.ndarray, least: float, most: float, confidence: float) -> Interval:
    """A percentile interval, in which resamples whose overlap is not known may have been anything.

    It holds the estimate: at the end of its range, where courses are equal or share nothing, all resamples lie to one
    side of it.
    """
    tail = 100 * (1 - confidence) / 2
    low = np.percentile(np.where(np.isnan(draws), least, draws), tail)
    high = np.percentile(np.where(np.isnan(draws), most, draws), 100 - tail)
    return Interval(estimate, float(np.fmin(low, estimate)), float(np.fmax(high, estimate)))
