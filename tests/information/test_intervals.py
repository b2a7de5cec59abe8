import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, norm

from ib_analysis.information import intervals
from ib_analysis.information.intervals import (
    Bootstrap,
    Interval,
    paired_bootstrap_interval,
    paired_bootstrap_intervals,
)


def test_large_sample_gives_the_normal_interval():
    values = np.random.default_rng(0).exponential(3.0, size=20_000)
    found = paired_bootstrap_interval(values, n_resamples=4000)
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert found.estimate == pytest.approx(values.mean())
    # The ends themselves are estimates from 4000 resamples: off by about 4 % of the standard error.
    assert found.low == pytest.approx(values.mean() - norm.ppf(0.975) * error, abs=0.2 * error)
    assert found.high == pytest.approx(values.mean() + norm.ppf(0.975) * error, abs=0.2 * error)


def test_coverage_is_the_confidence():
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(400):
        found = paired_bootstrap_interval(rng.normal(5.0, 2.0, 100), confidence=0.8, n_resamples=300, seed=trial)
        hits += found.low <= 5.0 <= found.high
    assert 0.73 < hits / 400 < 0.86  # 0.8 within three standard errors of 0.02


def test_equal_to_one_unbatched_call_of_scipy(monkeypatch):
    values = np.random.default_rng(2).normal(size=(3, 50))
    expected = bootstrap(
        (values,), np.mean, axis=-1, n_resamples=500, method="percentile", rng=np.random.default_rng(7)
    ).confidence_interval
    monkeypatch.setattr(intervals, "BATCH_BYTES", 8 * 50 * 4 * 7)  # 7 resamples at a time
    found = paired_bootstrap_intervals(values, Bootstrap(0.95, 500, seed=7))
    assert [interval.low for interval in found] == pytest.approx(list(expected.low), rel=1e-12)
    assert [interval.high for interval in found] == pytest.approx(list(expected.high), rel=1e-12)


def test_joint_intervals_are_those_of_the_rows():
    values = np.random.default_rng(3).normal(size=(4, 60))
    together = paired_bootstrap_intervals(values, Bootstrap(n_resamples=200, seed=5))
    alone = [paired_bootstrap_interval(row, n_resamples=200, seed=5) for row in values]
    for one, other in zip(together, alone, strict=True):
        assert (one.low, one.estimate, one.high) == pytest.approx((other.low, other.estimate, other.high), rel=1e-12)


def test_paired_interval_of_correlated_lengths_is_narrow():
    rng = np.random.default_rng(4)
    content = rng.normal(1000, 200, 500)
    null, given_h = content + rng.normal(10, 1, 500), content
    paired = paired_bootstrap_interval(null - given_h)
    assert paired.high - paired.low < 0.3
    alone = paired_bootstrap_interval(null)
    assert alone.high - alone.low > 20


def test_memory_of_ninety_thousand_images_is_bounded(monkeypatch):
    seen = []

    def record(sample, axis):
        seen.append(sample.nbytes)
        return np.mean(sample, axis=axis)

    real = bootstrap
    monkeypatch.setattr(scipy.stats, "bootstrap", lambda data, _mean, **options: real(data, record, **options))
    paired_bootstrap_interval(np.random.default_rng(5).normal(size=90_000), n_resamples=20)
    assert max(seen) <= 200e6


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30), st.integers(0, 5), st.floats(-100, 100))
def test_ends_enclose_data_repeat_by_seed_and_move_with_the_values(values, seed, shift):
    array = np.array(values)
    found = paired_bootstrap_interval(array, n_resamples=50, seed=seed)
    slack = 1e-9 * (1 + np.abs(array).max())
    assert array.min() - slack <= found.low <= found.high <= array.max() + slack
    assert paired_bootstrap_interval(array, n_resamples=50, seed=seed) == found
    moved = paired_bootstrap_interval(array + shift, n_resamples=50, seed=seed)
    assert moved.low == pytest.approx(found.low + shift, abs=1e-6)


def test_another_seed_draws_other_resamples():
    values = np.random.default_rng(6).normal(size=100)
    assert paired_bootstrap_interval(values, seed=0).low != paired_bootstrap_interval(values, seed=1).low


@pytest.mark.parametrize("values", [np.array([1.0]), np.zeros((2, 3))])
def test_refuses_what_has_no_interval(values):
    with pytest.raises(ValueError, match="images"):
        paired_bootstrap_interval(values)


def test_refuses_an_impossible_confidence():
    with pytest.raises(ValueError, match="confidence"):
        paired_bootstrap_interval(np.arange(3.0), confidence=95.0)


def test_overlap():
    assert Interval(1, 0, 2).overlaps(Interval(3, 2, 4))
    assert not Interval(1, 0, 1.9).overlaps(Interval(3, 2, 4))
