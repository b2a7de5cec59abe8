"""Phases over several encoder and decoder seeds: intervals for new seeds, and where the variance comes from.

Intervals over images alone say how well *this* network is known, not what training another would give. The seeds are
a sample too, usually a small one. Their unit is the encoder seed: all decoders of one encoder are averaged first, as
they share its fortune. Only with a single encoder are the decoder seeds the units.

What is estimated is a property of the mean curve over seeds, for example the drop from its peak. The mean of the drops
of single curves is larger, and above zero even if only chance moves each of them up and down.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.phases import (
    BATCH_NUMBERS,
    Contrast,
    Phases,
    contrast_from_draws,
    not_judged,
    phases_of,
    resample_shares,
)

__all__ = ["ENOUGH_SEEDS", "phases_over_seeds", "seed_interval_method"]

ENOUGH_SEEDS = 10
"""Seeds from which on they are resampled."""


def seed_interval_method(n_encoder_seeds: int, n_decoder_seeds: int) -> str:
    """In words, how `phases_over_seeds` makes its intervals.

    >>> seed_interval_method(3, 2)
    't over 3 encoder seeds'
    >>> seed_interval_method(1, 12)
    'hierarchical bootstrap over 12 decoder seeds'
    """
    kind, n = ("encoder", n_encoder_seeds) if n_encoder_seeds > 1 else ("decoder", n_decoder_seeds)
    return f"{'t' if n < ENOUGH_SEEDS else 'hierarchical bootstrap'} over {n} {kind} seeds"


def phases_over_seeds(code_lengths: np.ndarray, bootstrap: Bootstrap | None = None) -> Phases:
    """Phases of one layer's mean curve over seeds.

    Below `ENOUGH_SEEDS` units: a t-interval over the seeds' means. A percentile bootstrap over 3 seeds is no
    alternative: its ends are at most the least and the greatest of the three, between which the truth lies with
    probability 1 - 2 (1/2)^3 = 75 %, and about 74 % are seen; over 5 seeds it is about 84 %. The images are the same
    for all seeds, so that their part does not show in the seeds' spread; its half-width is added in quadrature, which
    is never narrower than the approximation of Cochran & Cox (1957, Experimental Designs) for the sum of two
    variances. That the peak is chosen among T checkpoints is paid for by Bonferroni's inequality, at the lower end
    alone. With three seeds and ten candidates its factor is 14.1 instead of 4.3: few seeds can show large effects only.

    From `ENOUGH_SEEDS` on: encoder seeds are resampled, within each its decoder seeds, and beside them the images
    (Owen 2007, The pigeonhole bootstrap: rows and columns resampled on their own, which overstates the variance if
    anything); within each resample the maximum over checkpoints is taken. The draws are stretched by sqrt(S / (S - 1)),
    the plug-in variance's bias, and by the ratio of the t to the normal quantile at the level of one of many
    comparisons: at that of a single one, 10 seeds that wander at random are called compressing in about 6 % of cases.

    Decoders count as nested in encoders: decoder 0 of one encoder and decoder 0 of the next are two fits, and an
    effect that both have in common (from equal initial weights) is not in the interval.

    Arguments:
        code_lengths: shape (encoder seeds, decoder seeds, T, N): L in bits of the same N evaluation images.
        bootstrap: confidence, and number of resamples and seed if there are enough seeds.

    Raises:
        ValueError: fewer than two seeds in all, two checkpoints or two images.

    >>> rng = np.random.default_rng(0)
    >>> mean_bits = np.array([40.0, 20.0, 25.0])
    >>> of_seeds = mean_bits + 0.1 * rng.normal(size=(3, 1, 3))
    >>> found = phases_over_seeds(of_seeds[..., None] + rng.normal(size=(3, 1, 3, 400)))
    >>> found.peak, found.compresses
    (1, True)
    """
    settings = bootstrap or Bootstrap()
    lengths = np.asarray(code_lengths, dtype=np.float64)
    if lengths.ndim != 4 or lengths.shape[0] * lengths.shape[1] < 2 or min(lengths.shape[2:]) < 2:
        raise ValueError(
            "Phases over seeds need code lengths of shape (encoder seeds, decoder seeds, checkpoints, images) with "
            f"two or more seeds in all and at least two checkpoints and images, not {lengths.shape}."
        )
    information = -lengths
    curve = information.mean(axis=(0, 1, 3))
    if not np.isfinite(information).all():
        return not_judged(curve, settings.confidence)
    if len(information) == 1:  # a single encoder: its decoders are the units
        information = information.swapaxes(0, 1)
    against = _by_t(information, settings) if len(information) < ENOUGH_SEEDS else _by_resampling(information, settings)
    return phases_of(curve, against, settings.confidence)


def _by_t(information: np.ndarray, settings: Bootstrap) -> Callable[[int], Contrast]:
    """Comparisons by t-intervals over units; information of shape (S, within, T, N)."""
    of_seeds = information.mean(axis=(1, 3))  # (S, T)
    of_images = information.mean(axis=(0, 1))  # (T, N)
    n_seeds, n_images = len(of_seeds), of_images.shape[1]
    tail = (1 - settings.confidence) / 2
    n_others = of_seeds.shape[1] - 1

    def against(reference: int) -> Contrast:
        by_seed = of_seeds - of_seeds[:, [reference]]
        by_image = of_images - of_images[reference]
        estimate = by_seed.mean(axis=0)
        seed_error = by_seed.std(axis=0, ddof=1) / math.sqrt(n_seeds)
        image_error = by_image.std(axis=1, ddof=1) / math.sqrt(n_images)

        def half_width(level: float) -> np.ndarray:
            # Quantiles of t; scipy.stats gives the same, ten times slower, and the root below asks often.
            over_seeds, over_images = stdtrit(n_seeds - 1, level), stdtrit(n_images - 1, level)
            return np.hypot(over_seeds * seed_error, over_images * image_error)

        def highest_low(log_level: float) -> float:
            low = estimate - half_width(math.exp(log_level) / n_others)
            return float(np.delete(low, reference).max())

        return Contrast(
            estimate=estimate,
            low=estimate - half_width(tail / n_others),
            high=estimate + half_width(tail),
            p_value=_level_of_root(highest_low),
        )

    return against


def _level_of_root(highest_low: Callable[[float], float]) -> float:
    """The two-sided level at which the largest lower end is just zero; `highest_low` takes the log of the tail."""
    most, least = math.log(0.5), -200.0
    if highest_low(most) <= 0:
        return 1.0
    if highest_low(least) >= 0:
        return 0.0
    return 2 * math.exp(brentq(highest_low, least, most, xtol=1e-10))


def _by_resampling(information: np.ndarray, settings: Bootstrap) -> Callable[[int], Contrast]:
    """Comparisons by the hierarchical bootstrap; information of shape (S, within, T, N)."""
    n_seeds, within, n_checkpoints, n_images = information.shape
    rng = np.random.default_rng(settings.seed)
    columns = information - information.mean(axis=(0, 1, 3), keepdims=True)
    columns = columns.reshape(-1, n_images).T  # (N, S within T)
    curves = np.empty((settings.n_resamples, n_checkpoints))
    batch = max(1, BATCH_NUMBERS // n_images)
    for begin in range(0, settings.n_resamples, batch):
        rows = min(batch, settings.n_resamples - begin)
        means = (resample_shares(rng, rows, n_images) @ columns).reshape(rows, n_seeds, within, n_checkpoints)
        seeds = rng.integers(0, n_seeds, (rows, n_seeds, 1))
        inner = rng.integers(0, within, (rows, n_seeds, within))
        curves[begin : begin + rows] = means[np.arange(rows)[:, None, None], seeds, inner].mean(axis=(1, 2))
    tail = (1 - settings.confidence) / 2
    level = tail / (n_checkpoints - 1)
    stretch = math.sqrt(n_seeds / (n_seeds - 1)) * float(stdtrit(n_seeds - 1, level) / ndtri(level))
    curve = information.mean(axis=(0, 1, 3))

    def against(reference: int) -> Contrast:
        others = np.arange(n_checkpoints) != reference
        estimates = (curve - curve[reference])[others]
        shifts = stretch * (curves - curves[:, [reference]])[:, others]
        errors = shifts.std(axis=0)
        errors[errors <= 1e-12 * np.abs(curve).max()] = 0.0
        draws = np.divide(shifts, errors, out=np.zeros_like(shifts), where=errors > 0)
        return contrast_from_draws(reference, estimates, errors, draws, settings.confidence)

    return against
