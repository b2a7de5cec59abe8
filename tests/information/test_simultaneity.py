"""The overlap of fitting and compression: closed forms, invariances, and what noise does to it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.simultaneity import Overlap, difference_interval, overlap_of

N = 300
QUICK = Bootstrap(n_resamples=200)


def curve(means: list[float], seed: int, spread: float = 0.5) -> np.ndarray:
    """Values of these means, with noise of every checkpoint and image."""
    noise = spread * np.random.default_rng(seed).normal(size=(len(means), N))
    return np.array(means)[:, None] + noise - noise.mean(axis=1, keepdims=True)


def overlap(information: list[float], label: list[float], spread: float = 0.5) -> Overlap:
    """Of a layer with these bits about image and label at its checkpoints."""
    return overlap_of(-curve(information, 0, spread), -curve(label, 1, 0.2 * spread), QUICK)


@pytest.mark.parametrize(
    ("information", "label", "expected"),
    [
        ([9, 6, 3, 0], [0, 1, 2, 3], 1.0),  # at once, in equal shares
        ([5, 9, 9, 3], [0, 2, 2, 2], 0.0),  # one after the other
        ([5, 9, 7, 3], [0, 2, 3, 3], 1 / 3),  # f = (2, 1, 0) / 3, c = (0, 2, 4) / 6
        ([9, 6, 6, 0], [0, 1, 1, 4], 1 / 4 + 2 / 3),  # f = (1, 0, 3) / 4, c = (3, 0, 6) / 9
    ],
)
def test_the_overlap_is_one_minus_total_variation(
    information: list[float], label: list[float], expected: float
) -> None:
    found = overlap(information, label)
    assert found.estimate == pytest.approx(expected)
    rise, fall = np.maximum(np.diff(label), 0), np.maximum(-np.diff(information), 0)
    assert found.estimate == pytest.approx(1 - np.abs(rise / rise.sum() - fall / fall.sum()).sum() / 2)
    assert found.rises.tolist() == (rise > 0).tolist()
    assert found.falls.tolist() == (fall > 0).tolist()
    interval = found.interval(0.95)
    assert 0 <= interval.low <= interval.estimate + 1e-9
    assert interval.estimate - 1e-9 <= interval.high <= 1 + 1e-9


def test_the_interval_is_that_of_the_ratio_of_two_falls() -> None:
    # c = (1 - x, x) with f all in the second step: the overlap is x = d / (d + 4) for a second fall d.
    found = overlap([8, 4, 0], [0, 0, 3], spread=2.0)
    falls = np.diff(curve([8, 4, 0], 0, 2.0) * -1, axis=0)
    rng, draws = np.random.default_rng(5), []
    for _ in range(2000):
        first, second = falls[:, rng.integers(0, N, N)].mean(axis=1)
        draws.append(second / (first + second))
    interval = found.interval(0.95)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.percentile(draws, [2.5, 97.5])), abs=0.01)


@pytest.mark.parametrize(
    ("information", "label"), [([0, 1, 2], [0, 1, 2]), ([2, 1, 0], [2, 1, 1]), ([1, 1, 1], [1, 1, 1])]
)
def test_without_a_rise_or_a_fall_there_is_no_overlap(information: list[float], label: list[float]) -> None:
    found = overlap(information, label)
    assert not found.is_known
    assert found.finite
    assert (found.interval(0.95).low, found.interval(0.95).high) == (0.0, 1.0)


def test_noise_is_no_course() -> None:
    rng = np.random.default_rng(0)
    kinds = [overlap_of(rng.normal(size=(6, 200)), rng.normal(size=(6, 200)), QUICK) for _ in range(100)]
    assert np.mean([found.rises.any() for found in kinds]) <= 0.08  # 2.5 % by design, of 100 trials
    assert np.mean([found.falls.any() for found in kinds]) <= 0.08


def test_what_is_not_finite_is_not_judged() -> None:
    lengths = curve([3, 2, 1], 0)
    lengths[1, 0] = np.inf
    found = overlap_of(lengths, curve([1, 2, 3], 1), QUICK)
    assert not found.finite
    assert not found.is_known


def test_differences_are_paired_image_by_image() -> None:
    same = overlap([5, 9, 7, 3], [0, 2, 3, 3])
    none = difference_interval(same, same, 0.95)
    assert (none.estimate, none.low, none.high) == (0.0, 0.0, 0.0)
    at_once = overlap([9, 6, 3, 0], [0, 1, 2, 3])
    found = difference_interval(at_once, same, 0.95)
    assert found.estimate == pytest.approx(2 / 3)
    assert found.low > 0.5
    with pytest.raises(ValueError, match="different numbers of resamples"):
        difference_interval(same, overlap_of(curve([1, 2], 0), curve([2, 1], 1), Bootstrap(n_resamples=10)), 0.95)


@given(arrays(float, (4, 12), elements=st.floats(-50, 50)), arrays(float, (4, 12), elements=st.floats(-5, 5)))
@settings(max_examples=50, deadline=None)
def test_units_and_images_in_another_order_change_nothing(lengths: np.ndarray, labels: np.ndarray) -> None:
    bootstrap = Bootstrap(n_resamples=5)
    found = overlap_of(lengths, labels, bootstrap)
    other = overlap_of(4 * lengths[:, ::-1] + 32, 0.5 * labels[:, ::-1], bootstrap)
    assert (found.rises.any() and found.falls.any()) == found.is_known
    if found.rises.tolist() == other.rises.tolist() and found.falls.tolist() == other.falls.tolist():
        assert found.estimate == pytest.approx(other.estimate, nan_ok=True, abs=1e-6)
    if found.is_known:
        assert -1e-9 <= found.estimate <= 1 + 1e-9


@pytest.mark.parametrize("shapes", [((3, 5), (3, 4)), ((1, 5), (1, 5)), ((5,), (5,)), ((3, 1), (3, 1))])
def test_shapes_that_cannot_be_compared_are_refused(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="must have one shape"):
        overlap_of(*(np.zeros(shape) for shape in shapes))
