"""Losses along layers: planted violations are found, chance is not called one."""

from __future__ import annotations

import numpy as np
import pytest

from ib_analysis.information.intervals import Bootstrap
from ib_analysis.studies.controls.data_processing import losses_along_layers

FAST = Bootstrap(n_resamples=400)


def lengths_of(means: np.ndarray, n: int, rng: np.random.Generator, scale: float = 1.0) -> np.ndarray:
    """Code lengths (chains, layers, n): images differ much, layers little, with skewed noise."""
    images = rng.normal(30, 8, n)
    noise = rng.exponential(scale, (*means.shape, n)) - scale
    return means[..., None] + images + noise


def test_losses_are_means_of_paired_differences() -> None:
    rng = np.random.default_rng(0)
    lengths = lengths_of(np.array([[1.0, 2.0, 4.0], [3.0, 3.5, 3.0]]), 300, rng)
    found = losses_along_layers(lengths, FAST)
    for chain, losses in enumerate(found):
        for pair, loss in enumerate(losses):
            difference = lengths[chain, pair + 1] - lengths[chain, pair]
            assert loss.estimate == pytest.approx(difference.mean())
            error = difference.std() / np.sqrt(300)
            # images' own spread of 8 bits must not be in the interval, the noise of both layers must
            assert 1.5 * error < loss.estimate - loss.low < 3 * error
            assert 1.9 * error < loss.high - loss.estimate < 4 * error


def test_a_planted_violation_is_found_and_only_it() -> None:
    means = np.tile(np.array([10.0, 11.0, 12.0]), (6, 1))
    means[2] = [10.0, 12.0, 11.5]
    found = losses_along_layers(lengths_of(means, 500, np.random.default_rng(1)), FAST)
    violations = [
        (chain, pair) for chain, losses in enumerate(found) for pair, loss in enumerate(losses) if loss.high < 0
    ]
    assert violations == [(2, 1)]
    assert found[2][1].low <= -0.5 <= found[2][1].high


def test_equal_layers_are_seldom_called_a_violation() -> None:
    """The worst case that keeps the inequality is equality; 12 pairs are looked at, 2.5 % is the level for all."""
    rng = np.random.default_rng(2)
    trials, alone, together = 400, 0, 0
    for _ in range(trials):
        lengths = lengths_of(np.zeros((4, 4)), 150, rng)
        highs = [loss.high for losses in losses_along_layers(lengths, Bootstrap(n_resamples=200)) for loss in losses]
        together += min(highs) < 0
        difference = lengths[:, 1:] - lengths[:, :-1]
        alone += (difference.mean(-1) + 1.96 * difference.std(-1) / np.sqrt(150)).min() < 0
    # 2.5 % of 400 is 10, with a standard deviation of 3.1
    assert together <= 22
    assert alone > 60  # pair by pair it would happen in a quarter of experiments: the care is needed


def test_a_number_that_is_not_finite_spoils_its_own_pairs_only() -> None:
    lengths = lengths_of(np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]), 50, np.random.default_rng(3))
    lengths[0, 2, 7] = np.inf
    found = losses_along_layers(lengths, FAST)
    assert np.isnan([found[0][1].estimate, found[0][1].low, found[0][1].high]).all()
    assert np.isfinite([loss.high for loss in (found[0][0], *found[1])]).all()
    lengths[:] = np.nan
    assert all(np.isnan(loss.high) for losses in losses_along_layers(lengths, FAST) for loss in losses)


def test_equal_code_lengths_have_no_interval() -> None:
    lengths = np.tile(np.arange(20.0), (1, 3, 1))
    (losses,) = losses_along_layers(lengths, FAST)
    assert [(loss.estimate, loss.low, loss.high) for loss in losses] == [(0.0, 0.0, 0.0)] * 2


@pytest.mark.parametrize("shape", [(3, 10), (1, 1, 10), (1, 3, 1), (0, 3, 10)])
def test_too_little_to_compare_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least one chain"):
        losses_along_layers(np.zeros(shape))
