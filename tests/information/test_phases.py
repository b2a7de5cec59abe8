"""Fitting and compression over images: against naive code, under the null, and where there is something to find."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ib_analysis.information import phases
from ib_analysis.information.intervals import Bootstrap, paired_bootstrap_interval
from ib_analysis.information.phases import phases_over_images

QUICK = Bootstrap(n_resamples=399)


# ------------------------------------------------------------------------------------------- against naive code


def naive_drop(lengths: np.ndarray, reference: int, bootstrap: Bootstrap) -> tuple[float, float, float, float]:
    """Estimate, ends and p value of the drop from the peak to a reference: one resample after the other."""
    n_checkpoints, n = lengths.shape
    others = [t for t in range(n_checkpoints) if t != reference]
    gains = {t: lengths[reference] - lengths[t] for t in others}  # information at t minus at the reference
    errors = {t: gains[t].std(ddof=1) / math.sqrt(n) for t in others}
    highest, single = [], {t: [] for t in others}
    for drawn in np.random.default_rng(bootstrap.seed).integers(0, n, (bootstrap.n_resamples, n)):
        statistics = []
        for t in others:
            again = gains[t][drawn]
            statistics.append((again.mean() - gains[t].mean()) / (again.std(ddof=1) / math.sqrt(n)))
            single[t].append(statistics[-1])
        highest.append(max(statistics))
    tail, total = (1 - bootstrap.confidence) / 2, bootstrap.n_resamples + 1
    critical = sorted(highest)[math.ceil((1 - tail) * total) - 1]
    low = max([0.0] + [gains[t].mean() - critical * errors[t] for t in others])
    high = max([0.0] + [gains[t].mean() - sorted(single[t])[math.floor(tail * total) - 1] * errors[t] for t in others])
    observed = max(gains[t].mean() / errors[t] for t in others)
    p_value = min(1.0, 2 * (1 + sum(value >= observed for value in highest)) / total) if observed > 0 else 1.0
    return max(0.0, *(gains[t].mean() for t in others)), low, high, p_value


@pytest.mark.parametrize("mean", [(0, 0, 0, 0), (5, 0, 2, 3), (3, 2, 1, 0.1), (0, 1, 2, 3)])
def test_agrees_with_resampling_one_by_one(mean: tuple[float, ...]) -> None:
    rng = np.random.default_rng(3)
    lengths = 40 + np.array(mean)[:, None] + rng.exponential(2.0, size=(4, 30)) + rng.normal(size=30)
    found = phases_over_images(lengths, QUICK)
    *loss, p_value = naive_drop(lengths, 3, QUICK)
    *gain, _ = naive_drop(lengths, 0, QUICK)
    of_loss, of_gain = found.compression_loss, found.fitting_gain
    assert [of_loss.estimate, of_loss.low, of_loss.high] == pytest.approx(loss, rel=1e-9)
    assert [of_gain.estimate, of_gain.low, of_gain.high] == pytest.approx(gain, rel=1e-9)
    assert found.p_value == pytest.approx(p_value, rel=1e-12)
    possible = [t for t in range(4) if naive_drop(lengths, t, QUICK)[3] > 0.1 or t == found.peak]
    assert (found.peak_low, found.peak_high) == (min(possible), max(possible))


def test_memory_is_bounded_without_changing_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = np.random.default_rng(0).normal(size=(6, 50))
    whole = phases_over_images(lengths, QUICK)
    monkeypatch.setattr(phases, "CHUNK_NUMBERS", 200)  # four pairs at once
    monkeypatch.setattr(phases, "BATCH_NUMBERS", 350)  # seven resamples at once
    parts = phases_over_images(lengths, QUICK)
    assert parts.compression_loss.low == pytest.approx(whole.compression_loss.low, rel=1e-9, abs=1e-12)
    assert parts.compression_loss.high == pytest.approx(whole.compression_loss.high, rel=1e-9)
    assert parts.p_value == whole.p_value


# ------------------------------------------------------------------------------------------- properties


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n_checkpoints=st.integers(2, 6), scale=st.floats(0.01, 100), steep=st.floats(-1, 1))
def test_properties(seed: int, n_checkpoints: int, scale: float, steep: float) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.normal(size=(n_checkpoints, 25)) + steep * np.arange(n_checkpoints)[:, None]
    bootstrap = Bootstrap(n_resamples=99, confidence=0.9)
    found = phases_over_images(lengths, bootstrap)
    for drop in (found.fitting_gain, found.compression_loss):
        assert 0 <= drop.low <= drop.estimate <= drop.high
    assert found.peak == np.argmin(lengths.mean(axis=1))
    assert found.peak_low <= found.peak <= found.peak_high
    assert found.compresses == (found.p_value <= 1 - 0.9 + 1e-12)
    # What all checkpoints have in common, such as L0 or the difficulty of an image, does not matter.
    common = phases_over_images(scale * lengths + rng.normal(0, 10, size=25), bootstrap)
    assert common.compression_loss.high == pytest.approx(scale * found.compression_loss.high, abs=1e-6 * scale)
    assert common.fitting_gain.low == pytest.approx(scale * found.fitting_gain.low, abs=1e-6 * scale)
    # Read backwards, compression is fitting.
    reverse = phases_over_images(lengths[::-1], bootstrap)
    assert reverse.compression_loss.estimate == pytest.approx(found.fitting_gain.estimate)


def test_equal_checkpoints_have_no_phases() -> None:
    lengths = np.repeat(np.random.default_rng(0).normal(size=(1, 20)), 4, axis=0)
    found = phases_over_images(lengths, QUICK)
    assert (found.peak, found.peak_low, found.peak_high) == (0, 0, 3)
    assert found.compression_loss.high == found.fitting_gain.high == 0
    assert not found.compresses
    assert found.p_value == 1


def test_a_drop_that_is_the_same_for_every_image_is_certain() -> None:
    image = np.random.default_rng(0).normal(size=20)
    found = phases_over_images(np.stack([image + 0.3, image, image + 0.1]), QUICK)
    assert found.compresses
    assert found.peak_low == found.peak_high == 1
    for drop, bits in ((found.fitting_gain, 0.3), (found.compression_loss, 0.1)):
        assert [drop.estimate, drop.low, drop.high] == pytest.approx([bits] * 3)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_code_lengths_that_are_not_finite_are_not_judged(bad: float) -> None:
    lengths = np.random.default_rng(0).normal(size=(3, 20))
    lengths[1, 4] = bad
    found = phases_over_images(lengths, QUICK)
    assert not found.finite
    assert not found.compresses
    assert math.isnan(found.compression_loss.estimate)
    assert (found.peak_low, found.peak_high) == (0, 2)
    assert found.peak != 1


@pytest.mark.parametrize("shape", [(5,), (1, 10), (3, 1), (2, 3, 4)])
def test_what_has_no_phases_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="checkpoints, images"):
        phases_over_images(np.zeros(shape))


# ------------------------------------------------------------------------------------------- error rates

SHAPES = {
    "flat": np.zeros(6),
    "rises, then flat": np.array([-3.0, -1.0, 0, 0, 0, 0]),
    "flat, then rises": np.array([0, 0, 0, 0, 0.1, 0.3]),
    "rises slowly": np.linspace(-0.2, 0, 6),
}


def simulated(rng: np.random.Generator, mean: np.ndarray, noise: str, n_images: int) -> np.ndarray:
    """Code lengths of a curve of mean information, with noise that images share between checkpoints."""
    shape = (len(mean), n_images)
    if noise == "independent":
        deviation = rng.normal(size=shape)
    elif noise == "wandering":  # neighbouring checkpoints are alike, as in a real run
        deviation = rng.normal(size=shape).cumsum(axis=0)
    else:  # skewed to longer codes, as code lengths are
        deviation = rng.exponential(size=shape) ** 1.5
    return 40 + rng.normal(0, 5, size=n_images) + deviation - mean[:, None]


def share_called_compressing(mean: np.ndarray, noise: str, n_images: int, repeats: int, seed: int = 0) -> float:
    rng = np.random.default_rng(seed)
    found = [
        phases_over_images(simulated(rng, mean, noise, n_images), Bootstrap(n_resamples=399, seed=repeat)).compresses
        for repeat in range(repeats)
    ]
    return float(np.mean(found))


@pytest.mark.parametrize("noise", ["independent", "wandering", "skewed"])
def test_a_flat_curve_is_seldom_called_compressing(noise: str) -> None:
    rate = share_called_compressing(SHAPES["flat"], noise, n_images=150, repeats=400)
    assert 0.005 <= rate <= 0.05  # a test that never says yes would be no test


@pytest.mark.slow
@pytest.mark.parametrize("n_images", [100, 1000])
@pytest.mark.parametrize("noise", ["independent", "wandering", "skewed"])
@pytest.mark.parametrize("shape", SHAPES)
def test_false_positives_are_at_most_five_per_cent(shape: str, noise: str, n_images: int) -> None:
    rate = share_called_compressing(SHAPES[shape], noise, n_images, repeats=2000)
    assert rate <= 0.05
    if shape == "flat":
        assert rate >= 0.015  # nominally 2.5 %: the least favourable curve is met, not avoided


def test_the_ordinary_interval_at_the_peak_would_call_a_flat_curve_compressing() -> None:
    rng, wrong, repeats = np.random.default_rng(0), 0, 200
    for _ in range(repeats):
        lengths = simulated(rng, np.zeros(11), "independent", 100)
        peak = int(np.argmin(lengths.mean(axis=1)))
        wrong += paired_bootstrap_interval(lengths[-1] - lengths[peak], n_resamples=200).low > 0
    assert wrong / repeats > 0.12


def test_a_real_drop_is_found() -> None:
    """A drop of 4 standard errors of a difference; one comparison alone would see it in 98 % of cases."""
    mean = np.array([-3, -1, 0, 0, 0, 0.0])
    drop = 4 * math.sqrt(2 / 150)
    mean[2] = drop
    assert share_called_compressing(mean, "independent", n_images=150, repeats=200) >= 0.88


def cover(mean: np.ndarray, noise: str, repeats: int) -> tuple[float, float]:
    """Shares of repeats in which the loss's interval holds the true loss, and the true peak is a possible one."""
    rng, truth, inside, peaks = np.random.default_rng(1), mean.max() - mean[-1], 0, 0
    for repeat in range(repeats):
        found = phases_over_images(simulated(rng, mean, noise, 150), Bootstrap(n_resamples=399, seed=repeat))
        inside += found.compression_loss.low <= truth <= found.compression_loss.high
        peaks += found.peak_low <= int(np.argmax(mean)) <= found.peak_high
    return inside / repeats, peaks / repeats


@pytest.mark.parametrize("peak", [5.0, 0.15, 0.0])
def test_intervals_cover_the_true_loss(peak: float) -> None:
    inside, peaks = cover(np.array([-3.0, 0.0, peak, 0.0, -0.05, -0.1]), "wandering", 200)
    assert inside >= 0.935
    assert peaks >= 0.935


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["independent", "wandering", "skewed"])
@pytest.mark.parametrize("peak", [5.0, 0.3, 0.15, 0.05])
def test_intervals_cover_the_true_loss_in_many_repeats(peak: float, noise: str) -> None:
    inside, peaks = cover(np.array([-3.0, 0.0, peak, 0.0, -0.05, -0.1]), noise, 2000)
    assert inside >= 0.935
    assert peaks >= 0.935
