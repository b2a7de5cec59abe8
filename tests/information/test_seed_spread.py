"""Means over seeds: the interval against a textbook's, its coverage of new seeds, and the range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from ib_analysis.information.intervals import Interval
from ib_analysis.information.seed_spread import spread_over_seeds

BITS = st.floats(-100, 100, allow_nan=False)


def exact(bits: float) -> Interval:
    return Interval(bits, bits, bits)


@given(st.lists(BITS, min_size=2, max_size=12), st.sampled_from([0.8, 0.95]))
def test_with_exact_runs_it_is_the_t_interval_of_scipy(values: list[float], confidence: float) -> None:
    found = spread_over_seeds({(seed, 0): exact(bits) for seed, bits in enumerate(values)}, confidence)
    if np.std(values) > 1e-6:  # scipy gives nan for equal values
        expected = ttest_1samp(values, 0).confidence_interval(confidence)
        assert found.mean.low == pytest.approx(expected.low, abs=1e-9)
        assert found.mean.high == pytest.approx(expected.high, abs=1e-9)
    assert (found.lowest, found.highest) == (min(values), max(values))


@given(st.lists(st.tuples(BITS, BITS), min_size=2, max_size=5))
def test_decoders_of_one_encoder_count_once(pairs: list[tuple[float, float]]) -> None:
    runs = {(encoder, decoder): exact(bits) for encoder, pair in enumerate(pairs) for decoder, bits in enumerate(pair)}
    of_means = spread_over_seeds({(encoder, 0): exact(float(np.mean(pair))) for encoder, pair in enumerate(pairs)})
    found = spread_over_seeds(runs)
    assert found.mean.low == pytest.approx(of_means.mean.low)
    assert found.mean.high == pytest.approx(of_means.mean.high)


def test_the_interval_covers_the_mean_of_new_seeds_and_images() -> None:
    rng = np.random.default_rng(0)
    truth, n_seeds, trials, covered = 10.0, 3, 2000, 0
    for _ in range(trials):
        images = rng.normal()  # the same images for all seeds: one error in common, with standard error 1
        runs = truth + images + rng.normal(size=n_seeds)
        found = spread_over_seeds({(s, 0): Interval(v, v - 1.96, v + 1.96) for s, v in enumerate(runs)}).mean
        covered += found.low <= truth <= found.high
    assert covered / trials >= 0.94
    assert covered / trials < 0.999  # nor without end


def test_a_single_run_keeps_its_own_interval_and_none_is_refused() -> None:
    assert spread_over_seeds({(0, 0): Interval(1.0, 0.5, 1.75)}).mean == Interval(1.0, 0.5, 1.75)
    with pytest.raises(ValueError, match="at least one"):
        spread_over_seeds({})
