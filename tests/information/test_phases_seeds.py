"""Phases over seeds: closed forms, levels, and simulated seeds whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.seeds import ENOUGH_SEEDS, phases_over_seeds, seed_interval_method

QUICK = Bootstrap(n_resamples=499)


def of_seeds(curves: np.ndarray, n_images: int = 40, image_noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """Code lengths (E, D, T, N) of curves of mean information (E, D, T), with noise that all seeds share."""
    shared = image_noise * np.random.default_rng(seed).normal(size=(curves.shape[-1], n_images))
    return -(curves[..., None] + shared - shared.mean(axis=1, keepdims=True))


# ------------------------------------------------------------------------------------------- closed forms


def test_two_checkpoints_of_seeds_that_differ_give_the_t_interval() -> None:
    drops = np.array([2.0, 3.0, 4.5])
    curves = np.stack([drops, np.zeros(3)], axis=1)[:, None]
    found = phases_over_seeds(of_seeds(curves))
    truth = ttest_1samp(drops, 0)
    interval = truth.confidence_interval(0.95)
    loss = found.compression_loss
    assert (loss.estimate, loss.low, loss.high) == pytest.approx((drops.mean(), interval.low, interval.high))
    assert found.p_value == pytest.approx(truth.pvalue)


def test_decoders_of_an_encoder_are_one_unit() -> None:
    """Two decoders each that agree: six numbers, but three independent ones."""
    drops = np.array([2.0, 3.0, 4.5])
    curves = np.repeat(np.stack([drops, np.zeros(3)], axis=1)[:, None], 2, axis=1)
    interval = ttest_1samp(drops, 0).confidence_interval(0.95)
    assert phases_over_seeds(of_seeds(curves)).compression_loss.low == pytest.approx(interval.low)


def test_decoders_are_the_units_of_a_single_encoder() -> None:
    curves = np.random.default_rng(0).normal(size=(4, 1, 5))
    a, b = phases_over_seeds(of_seeds(curves)), phases_over_seeds(of_seeds(curves.swapaxes(0, 1)))
    assert a == b


def test_the_images_count_where_seeds_agree() -> None:
    """Equal seeds have no spread; the images that they share still vary."""
    rng = np.random.default_rng(0)
    lengths = np.repeat(rng.normal(size=(1, 1, 2, 50)) + np.array([0.0, 2.0])[:, None], 3, axis=0)
    interval = ttest_1samp(lengths[0, 0, 1] - lengths[0, 0, 0], 0).confidence_interval(0.95)
    loss = phases_over_seeds(lengths).compression_loss
    assert (loss.low, loss.high) == pytest.approx((interval.low, interval.high))


def test_many_candidates_cost_the_lower_end_alone() -> None:
    drops = np.array([2.0, 3.0, 4.5])
    curves = np.zeros((3, 1, 6))
    curves[:, 0, 2] = drops
    curves[:, 0, [0, 1, 3, 4]] = -50.0
    loss = phases_over_seeds(of_seeds(curves)).compression_loss
    error = drops.std(ddof=1) / math.sqrt(3)
    assert loss.low == pytest.approx(max(0.0, drops.mean() - t.isf(0.025 / 5, 2) * error))
    assert loss.high == pytest.approx(drops.mean() + t.isf(0.025, 2) * error)


def test_the_p_value_is_the_level_at_which_the_interval_reaches_zero() -> None:
    lengths = of_seeds(np.random.default_rng(4).normal([0, 2, 5, 2, 0], size=(3, 2, 5)), image_noise=3.0)
    found = phases_over_seeds(lengths)
    assert 0 < found.p_value < 1
    wider = phases_over_seeds(lengths, Bootstrap(confidence=1 - found.p_value * 0.99))
    narrower = phases_over_seeds(lengths, Bootstrap(confidence=1 - found.p_value * 1.01))
    assert wider.compression_loss.low == 0 < narrower.compression_loss.low
    assert wider.p_value == pytest.approx(found.p_value)


def test_many_seeds_without_image_noise_agree_with_t() -> None:
    """Two ways to the same interval: resampled seeds, and the closed form."""
    rng = np.random.default_rng(0)
    curves = np.zeros((40, 1, 3))
    curves[:, 0, 1] = rng.normal(3, 1, size=40)
    curves[:, 0, 0] = -50
    loss = phases_over_seeds(of_seeds(curves), Bootstrap(n_resamples=4000)).compression_loss
    drops = curves[:, 0, 1]
    error = drops.std(ddof=1) / math.sqrt(40)
    assert loss.high - loss.estimate == pytest.approx(t.isf(0.025, 39) * error, rel=0.12)
    assert loss.estimate - loss.low == pytest.approx(t.isf(0.0125, 39) * error, rel=0.2)


def test_resampling_adds_seeds_decoders_and_images() -> None:
    """Each source of variance alone shows in the interval, and images that all seeds share do not average out."""
    rng = np.random.default_rng(0)
    base, n_images = np.array([-50.0, 3.0, 0.0]), 100
    zeros = np.zeros((12, 4, 3, n_images))
    sources = {
        "encoders": (zeros + rng.normal(size=(12, 1, 3, 1)), math.sqrt(2 / 12)),
        "decoders": (zeros + rng.normal(size=(12, 4, 3, 1)), math.sqrt(2 / 48)),
        "images": (zeros + 10 * rng.normal(size=(1, 1, 3, n_images)), math.sqrt(2)),
    }
    for noise, error in sources.values():
        loss = phases_over_seeds(-(base[:, None] + noise), QUICK).compression_loss
        assert 0.6 < (loss.high - loss.estimate) / (t.isf(0.025, 11) * error) < 1.9


def test_few_and_many_are_told_apart() -> None:
    assert seed_interval_method(ENOUGH_SEEDS - 1, 5) == "t over 9 encoder seeds"
    assert seed_interval_method(ENOUGH_SEEDS, 1) == "hierarchical bootstrap over 10 encoder seeds"
    assert seed_interval_method(1, 2) == "t over 2 decoder seeds"


def test_the_same_numbers_every_time() -> None:
    lengths = np.random.default_rng(0).normal(size=(10, 2, 4, 30))
    assert phases_over_seeds(lengths, QUICK) == phases_over_seeds(lengths, QUICK)


def test_code_lengths_that_are_not_finite_are_not_judged() -> None:
    lengths = np.zeros((3, 1, 3, 5))
    lengths[1, 0, 2, 3] = math.inf
    assert not phases_over_seeds(lengths).finite


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 1, 4, 10), (3, 1, 1, 10), (3, 1, 4, 1)])
def test_what_has_no_seeds_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="two or more seeds"):
        phases_over_seeds(np.zeros(shape))


# ------------------------------------------------------------------------------------------- error rates

NOISES = {
    # spread of the encoder's, decoder's and image's part of each checkpoint
    "seeds": (1.0, 0.3, 0.3),
    "images": (0.0, 0.0, 3.0),
    "both": (0.4, 0.2, 3.0),
}


def simulated(rng: np.random.Generator, n_seeds: tuple[int, int], mean: np.ndarray, noise: str, wander: bool):
    """Code lengths of random seeds around a curve; the images are those of all seeds."""
    (n_encoders, n_decoders), n, n_images = n_seeds, len(mean), 60
    encoder, decoder, image = NOISES[noise]
    by_encoder = encoder * rng.normal(size=(n_encoders, 1, n, 1))
    information = (
        (by_encoder.cumsum(axis=2) if wander else by_encoder)
        + decoder * rng.normal(size=(n_encoders, n_decoders, n, 1))
        + image * rng.normal(size=(1, 1, n, n_images))
        + 0.2 * rng.normal(size=(n_encoders, n_decoders, n, n_images))
    )
    return -(information + mean[:, None])


def rates(n_seeds: tuple[int, int], mean: np.ndarray, noise: str, wander: bool, repeats: int) -> tuple[float, float]:
    """Shares called compressing, and with the true loss inside the interval."""
    rng, called, inside, truth = np.random.default_rng(2), 0, 0, mean.max() - mean[-1]
    for repeat in range(repeats):
        lengths = simulated(rng, n_seeds, mean, noise, wander)
        found = phases_over_seeds(lengths, Bootstrap(n_resamples=299, seed=repeat))
        called += found.compresses
        inside += found.compression_loss.low <= truth <= found.compression_loss.high
    return called / repeats, inside / repeats


FLAT, PEAKED = np.zeros(6), np.array([-20.0, 0, 8, 5, 2, 0])


@pytest.mark.parametrize("noise", NOISES)
def test_a_flat_mean_curve_is_seldom_called_compressing(noise: str) -> None:
    called, _ = rates((3, 2), FLAT, noise, False, 120)
    assert called <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("wander", [False, True])
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("n_seeds", [(2, 1), (3, 1), (3, 2), (9, 1), (10, 2)])
def test_false_positives_over_seeds_are_at_most_five_per_cent(n_seeds, noise: str, wander: bool) -> None:
    called, _ = rates(n_seeds, FLAT, noise, wander, 2000)
    assert called <= 0.05
    _, inside = rates(n_seeds, PEAKED, noise, wander, 1000)
    assert inside >= 0.935


def test_the_mean_of_single_drops_would_call_a_flat_mean_curve_compressing() -> None:
    """Why the mean curve is judged: each seed's own peak lies above its end by chance alone."""
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(200):
        curves = -simulated(rng, (3, 1), FLAT, "seeds", False).mean(axis=3)[:, 0]
        drops = curves.max(axis=1) - curves[:, -1]
        wrong += ttest_1samp(drops, 0).confidence_interval(0.95).low > 0
    assert wrong / 200 > 0.15


def test_three_seeds_find_a_large_drop() -> None:
    called, inside = rates((3, 1), PEAKED, "both", False, 60)
    assert called >= 0.8
    assert inside >= 0.935


def test_a_percentile_bootstrap_over_three_seeds_covers_three_quarters() -> None:
    """The reason for t-intervals, as the docstring has it."""
    rng = np.random.default_rng(0)
    seeds = rng.normal(size=(3000, 3))
    means = seeds[:, rng.integers(0, 3, size=(999, 3))].mean(axis=-1)
    low, high = np.quantile(means, [0.025, 0.975], axis=1)
    assert 0.70 <= np.mean((low <= 0) & (high >= 0)) <= 0.78
