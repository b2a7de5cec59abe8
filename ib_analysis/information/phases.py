"""Fitting and compression of one layer, from code lengths alone: how much, when, and whether beyond chance.

Up to a constant a layer's information is -mean(L). Let m(t) be that curve at checkpoint t, p its peak, T the last.

    fitting gain = m(p) - m(0),    compression loss = m(p) - m(T)

Both are differences of L, paired image by image; L0 and H(X) cancel. The peak is chosen on the images on which the
differences are measured, so that the ordinary paired interval at the peak is wrong: a flat curve also has a highest
point, and the drop from it is never negative. What is estimated here is therefore the drop from the *true* peak,

    max over t of (E m(t) - E m(T)),

which needs no choice, and each checkpoint's difference gets a lower end that holds for all of them at once (many
comparisons with one reference: Dunnett 1955; by resampling the maximum: Westfall & Young 1993, chapter 2; Romano &
Wolf 2005). Splitting the images, one half to choose the peak and one to measure, would be right as well, but widens
every interval by a factor of 1.41; the simultaneous lower ends cost 1.1 to 1.4, the upper ends nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ib_analysis.information.intervals import Bootstrap, Interval

__all__ = [
    "Contrast",
    "Phases",
    "contrast_from_draws",
    "drop_from_peak",
    "not_judged",
    "phases_of",
    "phases_over_images",
    "resample_shares",
    "studentised_differences",
]

BATCH_NUMBERS = 2**19
"""Numbers of a batch of resamples (resamples x images): 4 MB. Batches do not change the random stream."""
CHUNK_NUMBERS = 2**23
"""Numbers of the differences that are resampled together (differences x images): 64 MB, whatever the checkpoints."""


@dataclass(frozen=True)
class Contrast:
    """All checkpoints of a curve against one of them, the reference; arrays of shape (T,), bits, 0 at the reference.

    Arguments:
        estimate: information at a checkpoint minus that at the reference.
        low: lower ends that hold for all checkpoints at once, each with the same surprise.
        high: upper ends, each for its own checkpoint.
        p_value: of the null hypothesis that no checkpoint lies above the reference; two-sided, so that it is at most
            1 - confidence exactly when one of the lower ends is above zero.
    """

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_value: float


@dataclass(frozen=True)
class Phases:
    """Fitting and compression of one layer.

    Arguments:
        peak: index of the checkpoint with the shortest mean code length; the earliest of equals.
        peak_low, peak_high: the first and the last checkpoint that may be the true peak (see `phases_of`).
        fitting_gain: bits from the first checkpoint to the peak, with its interval.
        compression_loss: bits from the peak to the last checkpoint, with its interval; never negative.
        p_value: of the test of `compresses`.
        confidence: level of the intervals.
    """

    peak: int
    peak_low: int
    peak_high: int
    fitting_gain: Interval
    compression_loss: Interval
    p_value: float
    confidence: float = 0.95

    @property
    def compresses(self) -> bool:
        """Whether a curve that never ends below its peak is rejected: the whole interval of the loss is above zero.

        A monotonely increasing curve is called compressing with probability (1 - confidence) / 2 at most, up to the
        bootstrap's error: 2.5 %. The bound is reached by the flat curve; a steeper one is safer.
        """
        return self.compression_loss.low > 0

    @property
    def fits(self) -> bool:
        """Whether the gain's whole interval is above zero."""
        return self.fitting_gain.low > 0

    @property
    def finite(self) -> bool:
        """Whether there was anything to judge: all code lengths were finite numbers."""
        return math.isfinite(self.p_value)


def phases_over_images(code_lengths: np.ndarray, bootstrap: Bootstrap | None = None) -> Phases:
    """Phases of one layer of one run under one decoder; intervals cover the choice of evaluation images.

    Every pair of checkpoints gets a studentised bootstrap (Efron & Tibshirani 1993, chapter 12.5) with the same
    resamples of images, within which the maximum over checkpoints is taken. The interval does not cover the
    randomness of training: for that see `ib_analysis.information.seeds`.

    Arguments:
        code_lengths: shape (T, N): L in bits of N evaluation images at T checkpoints in the order of training.
        bootstrap: confidence, number of resamples and seed.

    Raises:
        ValueError: fewer than two checkpoints or images.

    >>> rng = np.random.default_rng(0)
    >>> mean_bits = np.array([40.0, 20.0, 25.0])  # of the code lengths: rises in information, then falls
    >>> found = phases_over_images(mean_bits[:, None] + rng.normal(size=(3, 400)))
    >>> found.peak, found.compresses
    (1, True)
    >>> 4.8 < found.compression_loss.low < 5 < found.compression_loss.high < 5.2
    True
    """
    settings = bootstrap or Bootstrap()
    lengths = np.asarray(code_lengths, dtype=np.float64)
    if lengths.ndim != 2 or min(lengths.shape) < 2:
        raise ValueError(
            f"Phases need code lengths of shape (checkpoints, images), at least two each, not {lengths.shape}."
        )
    information = -lengths
    n = len(information)
    if not np.isfinite(information).all():
        return not_judged(information.mean(axis=-1), settings.confidence)
    first, second = np.triu_indices(n, 1)
    means, errors, draws = studentised_differences(information, first, second, settings)
    place = np.zeros((n, n), dtype=int)  # a pair is kept once, as later minus earlier
    place[first, second] = place[second, first] = np.arange(len(first))

    def against(reference: int) -> Contrast:
        others = [index for index in range(n) if index != reference]
        kept = place[reference, others]
        sign = np.array([1.0 if t > reference else -1.0 for t in others])
        return contrast_from_draws(
            reference, sign * means[kept], errors[kept], sign * draws[:, kept], settings.confidence
        )

    return phases_of(information.mean(axis=-1), against, settings.confidence)


def phases_of(curve: np.ndarray, against: Callable[[int], Contrast], confidence: float) -> Phases:
    """Put phases together from comparisons of a curve's checkpoints, however these were made.

    A checkpoint may be the true peak unless the test that none lies above it is rejected at one-sided level
    1 - confidence. The true peak is tested once, so that it is among those left with probability ``confidence``.

    Arguments:
        curve: shape (T,): mean information up to a constant, bits.
        against: index of a reference -> the comparisons of all checkpoints with it.
    """
    last = len(curve) - 1
    peak = int(np.argmax(curve))
    from_last = against(last)
    possible = [t for t in range(last + 1) if t == peak or against(t).p_value > 2 * (1 - confidence)]
    return Phases(
        peak=peak,
        peak_low=min(possible),
        peak_high=max(possible),
        fitting_gain=drop_from_peak(against(0)),
        compression_loss=drop_from_peak(from_last),
        p_value=from_last.p_value,
        confidence=confidence,
    )


def drop_from_peak(contrast: Contrast) -> Interval:
    """The true peak minus the reference: max over checkpoints of the difference, with its interval.

    All lower ends hold at once, so the largest of them is a lower end of the largest difference. An upper end needs
    no such care: whichever checkpoint is the true peak, its own upper end covers, and the largest is no smaller. The
    estimate itself is the drop that is seen; where checkpoints are nearly equal it tends to be too large, and the
    lower end knows it.
    """
    return Interval(
        float(contrast.estimate.max()), max(0.0, float(contrast.low.max())), max(0.0, float(contrast.high.max()))
    )


def contrast_from_draws(
    reference: int, estimates: np.ndarray, errors: np.ndarray, draws: np.ndarray, confidence: float
) -> Contrast:
    """Simultaneous lower ends and pointwise upper ends from resampled studentised differences.

    Arguments:
        estimates, errors: shape (T - 1,): the differences of the other checkpoints from the reference, in order.
        draws: shape (B, T - 1): (resampled difference - difference) / standard error of resamples.
    """
    tail = (1 - confidence) / 2
    highest = np.sort(draws.max(axis=1))
    # The order statistics that make an exact test of B resamples and the data (Davison & Hinkley 1997, section 4.2).
    rank = math.ceil((1 - tail) * (len(highest) + 1)) - 1
    critical = float(highest[rank]) if rank < len(highest) else math.inf
    lowest = np.sort(draws, axis=0)
    rank = math.floor(tail * (len(lowest) + 1)) - 1
    pointwise = lowest[rank] if rank >= 0 else np.full(len(estimates), -math.inf)
    exact = errors == 0  # a difference that is the same for every image has no interval
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = np.where(exact, np.where(estimates > 0, math.inf, -math.inf), estimates / errors)
        low = np.where(exact, estimates, estimates - critical * errors)
        high = np.where(exact, estimates, estimates - pointwise * errors)
    as_extreme = np.count_nonzero(highest >= observed.max())
    p_value = min(1.0, 2 * (1 + as_extreme) / (1 + len(highest)))
    return Contrast(
        estimate=np.insert(estimates, reference, 0.0),
        low=np.insert(low, reference, 0.0),
        high=np.insert(high, reference, 0.0),
        p_value=p_value if observed.max() > 0 else 1.0,
    )


def not_judged(curve: np.ndarray, confidence: float) -> Phases:
    """What is said of a curve with code lengths that are not finite: nothing but the highest point of the rest."""
    nothing = Interval(math.nan, math.nan, math.nan)
    peak = int(np.argmax(np.where(np.isfinite(curve), curve, -np.inf)))
    return Phases(peak, 0, len(curve) - 1, nothing, nothing, math.nan, confidence)


def resample_shares(rng: np.random.Generator, rows: int, n: int) -> np.ndarray:
    """Shares of n images in resamples with replacement, shape (rows, n), each row of sum 1."""
    drawn = rng.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n) / n


def studentised_differences(
    values: np.ndarray, first: np.ndarray, second: np.ndarray, settings: Bootstrap
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means of ``values[second] - values[first]``, their standard errors and their studentised resamples.

    Returns:
        Shapes (K,), (K,) and (n_resamples, K) for K pairs of rows.
    """
    n = values.shape[1]
    means, errors = np.empty(len(first)), np.empty(len(first))
    draws = np.empty((settings.n_resamples, len(first)))
    chunk = max(1, CHUNK_NUMBERS // n)
    batch = max(1, BATCH_NUMBERS // n)
    for start in range(0, len(first), chunk):
        part = slice(start, start + chunk)
        differences = values[second[part]] - values[first[part]]
        means[part] = differences.mean(axis=1)
        centred = differences - means[part, None]
        error = np.sqrt((centred**2).mean(axis=1) / (n - 1))
        # Rounding makes a constant difference seem to vary in its sixteenth digit.
        error[error <= 1e-12 * np.abs(differences).max(axis=1)] = 0.0
        errors[part] = error
        columns = np.concatenate([centred, centred**2]).T
        rng = np.random.default_rng(settings.seed)  # the same resamples for every part
        for begin in range(0, settings.n_resamples, batch):
            rows = min(batch, settings.n_resamples - begin)
            shift, square = np.split(resample_shares(rng, rows, n) @ columns, 2, axis=1)
            with np.errstate(divide="ignore", invalid="ignore"):
                studentised = shift / np.sqrt(np.maximum(square - shift**2, 0.0) / (n - 1))
            studentised[:, error == 0] = 0.0
            # A resample of equal differences has no spread: its statistic is without bound, or nothing at all.
            draws[begin : begin + rows, part] = np.nan_to_num(studentised, nan=0.0, posinf=np.inf, neginf=-np.inf)
    return means, errors, draws
