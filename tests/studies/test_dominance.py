"""Dominance of curves: against independent computations, by its symmetries, and how often its verdicts are wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import ttest_1samp

from ib_analysis.information.intervals import Bootstrap, Interval, paired_bootstrap_interval
from ib_analysis.information.table import read_table, write_table
from ib_analysis.studies.cost_quality.dominance import (
    Accuracies,
    Dominance,
    curve_at,
    dominance,
    efficient,
    knots,
    resampled,
)
from ib_analysis.studies.cost_quality.pooled_seeds import means_over_seeds, seed_deviation
from ib_analysis.studies.cost_quality.rows import DominanceRow
from ib_analysis.studies.cost_quality.verdicts import verdict_sentences

COSTS = st.lists(st.integers(1, 1000), min_size=1, max_size=5)
FAST = Bootstrap(n_resamples=100)


def naive_curve(costs: np.ndarray, accuracies: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Running maximum at each distinct cost, then numpy's own interpolation."""
    distinct = np.unique(costs)
    heights = [accuracies[costs <= cost].max() for cost in distinct]
    return np.interp(np.log(at), np.log(distinct), heights)


def accuracies_of(costs: list[int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.5, 0.9, len(costs))


@given(COSTS, st.integers(0, 99), st.floats(0, 1))
def test_a_curve_is_the_interpolated_running_maximum(costs: list[int], seed: int, share: float) -> None:
    cost = np.array(costs, dtype=float)
    at = float(np.clip(cost.min() * (cost.max() / cost.min()) ** share, cost.min(), cost.max()))
    accuracies = accuracies_of(costs, seed)
    assert curve_at(cost, accuracies, at) == pytest.approx(naive_curve(cost, accuracies, np.array([at]))[0])
    # it rises with every accuracy
    better = accuracies + np.eye(len(costs))[seed % len(costs)] * 0.05
    assert curve_at(cost, better, at) >= curve_at(cost, accuracies, at) - 1e-12


def test_a_curve_has_no_accuracy_beyond_its_networks() -> None:
    with pytest.raises(ValueError, match="goes from 1"):
        curve_at(np.array([1.0, 2.0]), np.array([0.5, 0.6]), 3.0)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=6))
def test_efficient_networks_are_those_that_no_other_beats(found: list[tuple[int, int]]) -> None:
    expected = [not any(c <= cost and a >= accuracy and (c, a) != (cost, accuracy) for c, a in found)
                for cost, accuracy in found]  # fmt: skip
    costs, accuracies = np.array(found).T
    assert efficient(costs, accuracies).tolist() == expected


def exact(by_seed: np.ndarray, count: int = 100) -> Accuracies:
    """Accuracies that other images would not change."""
    rng = np.random.default_rng(0)
    return Accuracies(by_seed, np.zeros((count, by_seed.shape[1])), rng.normal(size=(count, by_seed.shape[1])))


@given(COSTS, COSTS, st.integers(0, 99))
def test_the_smallest_difference_is_that_of_the_curves(costs_a: list[int], costs_b: list[int], seed: int) -> None:
    a, b = np.array(costs_a, dtype=float), np.array(costs_b, dtype=float)
    both = np.concatenate([accuracies_of(costs_a, seed), accuracies_of(costs_b, seed + 1)])
    found = exact(np.stack([both, both]))
    first, second = found.of(range(len(a))), found.of(range(len(a), len(both)))
    judged = dominance(a, first, b, second)
    low, high = max(a.min(), b.min()), min(a.max(), b.max())
    if low > high:
        assert judged == Dominance("no overlap", None, None, None, 0)
        return
    at = np.concatenate([np.geomspace(low, high, 50), knots(a, b)])
    difference = naive_curve(a, both[: len(a)], at) - naive_curve(b, both[len(a) :], at)
    assert judged.smallest is not None
    assert judged.smallest.estimate == pytest.approx(difference.min())
    assert judged.overlap == (low, high)
    # seeds and images that change nothing leave nothing open
    assert judged.verdict == ("yes" if difference.min() > 0 else "no")
    assert curve_at(a, both[: len(a)], judged.cost) - curve_at(b, both[len(a) :], judged.cost) == pytest.approx(
        judged.smallest.estimate
    )


OPPOSITE = {"yes": {"no"}, "no": {"yes", "no", "undecided"}, "undecided": {"no", "undecided"},
            "no overlap": {"no overlap"}}  # fmt: skip


@given(COSTS, COSTS, st.integers(0, 99))
@example([1, 96, 387, 1, 1], [162, 1, 163, 1, 1], 53)  # equal differences at several costs
@settings(max_examples=25, deadline=None)
def test_symmetries(costs_a: list[int], costs_b: list[int], seed: int) -> None:
    a, b = np.array(costs_a, dtype=float), np.array(costs_b, dtype=float)
    rng = np.random.default_rng(seed)
    found = resampled(rng.random((2, len(a) + len(b), 30)) < rng.uniform(0.2, 0.9, len(a) + len(b))[:, None], FAST)
    first, second = found.of(range(len(a))), found.of(range(len(a), len(a) + len(b)))
    there, back = dominance(a, first, b, second), dominance(b, second, a, first)
    assert back.verdict in OPPOSITE[there.verdict]
    assert there.smallest is None or there.smallest.low <= there.smallest.estimate <= there.smallest.high
    if there.n_knots == 1:
        assert there.smallest is not None
        assert back.smallest is not None
        assert back.smallest.low == pytest.approx(-there.smallest.high)
    # the unit of the cost and the order of the networks do not matter
    order = rng.permutation(len(a))
    other = dominance(7 * a[order], first.of(order.tolist()), 7 * b, second)
    assert other.verdict == there.verdict
    assert other.smallest is None or other.smallest.low == pytest.approx(there.smallest.low)  # type: ignore[union-attr]


def test_seeds_alone_give_the_paired_t_interval() -> None:
    rng = np.random.default_rng(3)
    by_seed = 0.8 + rng.normal(scale=0.01, size=(4, 2)) + rng.normal(scale=0.05, size=(4, 1))
    found = exact(by_seed, 40_000)
    cost = np.array([5.0])
    judged = dominance(cost, found.of([0]), cost, found.of([1])).smallest
    expected = ttest_1samp(by_seed[:, 0] - by_seed[:, 1], 0).confidence_interval(0.95)
    assert judged is not None
    assert (judged.low, judged.high) == pytest.approx((expected.low, expected.high), abs=0.05 * float(expected.high))


def test_images_alone_give_the_paired_bootstrap() -> None:
    rng = np.random.default_rng(4)
    one = rng.random((2, 400)) < np.array([0.8, 0.7])[:, None]
    found = resampled(np.stack([one, one]), Bootstrap(n_resamples=4000))
    cost = np.array([5.0])
    judged = dominance(cost, found.of([0]), cost, found.of([1])).smallest
    expected = paired_bootstrap_interval(one[0].astype(float) - one[1])
    assert judged is not None
    assert judged.estimate == pytest.approx(expected.estimate)
    assert (judged.low, judged.high) == pytest.approx((expected.low, expected.high), abs=0.005)


def test_one_seed_decides_nothing() -> None:
    correct = np.zeros((1, 2, 50))
    correct[:, 0] = 1
    found, cost = resampled(correct, FAST), np.array([1.0])
    judged = dominance(cost, found.of([0]), cost, found.of([1]))
    assert judged.verdict == "undecided"
    assert judged.smallest == Interval(1.0, -math.inf, math.inf)


def test_resamples_are_means_of_drawn_images_and_the_same_for_all() -> None:
    correct = np.random.default_rng(0).integers(0, 2, size=(2, 1, 60))
    found = resampled(np.concatenate([correct, correct], axis=1), Bootstrap(n_resamples=3000))
    assert np.array_equal(found.shifts[:, 0], found.shifts[:, 1])
    assert found.shifts[:, 0].std() == pytest.approx(correct.mean(axis=0).std() / math.sqrt(60), rel=0.05)
    assert abs(found.shifts.mean()) < 0.005
    with pytest.raises(ValueError, match="two images"):
        resampled(np.ones((2, 2, 1)))


def test_the_deviation_of_seeds_is_unbiased_and_pairing_takes_out_what_is_common() -> None:
    rng = np.random.default_rng(0)
    squares = []
    for _ in range(400):
        values = rng.normal(scale=2.0, size=(2, 4)) + rng.normal(scale=30.0, size=(2, 1)) + np.arange(4)
        squares.append(seed_deviation(values, paired=True).deviation ** 2)
    assert np.mean(squares) == pytest.approx(4.0, rel=0.15)
    assert means_over_seeds(np.array([[0.5]]), [Interval(0.5, 0.4, 0.7)]) == [Interval(0.5, 0.4, 0.7)]


# ---------------------------------------------------------------------------------------------- error rates

GRID = np.array([1.0, 2.0, 4.0, 8.0])
FLAT, RISING = np.full(4, 0.8), np.array([0.70, 0.76, 0.81, 0.85])
CASES = {
    # name: costs and true accuracies of A and of B, deviation of seeds per network; A does not dominate, and is nowhere
    # below B
    "equal curves": (GRID, RISING, GRID, RISING, np.full(8, 0.01)),
    "a choice among equals": (GRID / 2.5, FLAT, GRID, FLAT, np.full(8, 0.01)),
    "small networks spread more": (GRID, RISING, GRID, RISING, np.tile([0.03, 0.01, 0.005, 0.005], 2)),
    "touching at one cost": (GRID, RISING + np.array([0, 0.1, 0.1, 0.1]), GRID, RISING, np.full(8, 0.01)),
    "one network each": (GRID[:1], FLAT[:1], GRID[:1], FLAT[:1], np.full(2, 0.02)),
}


def false_verdicts(name: str, repeats: int) -> float:
    """Share of experiments with two seeds and 300 images whose verdict is `yes` or `no`, both of them wrong."""
    costs_a, true_a, costs_b, true_b, deviation = CASES[name]
    truth, wrong = np.concatenate([true_a, true_b]), 0
    for repeat in range(repeats):
        rng = np.random.default_rng([11, repeat])
        # What a seed does to all networks, and to each alone; images are easy or hard for all networks alike.
        shares = truth + rng.normal(scale=0.01, size=(2, 1)) + deviation * rng.normal(size=(2, len(truth)))
        hardness, luck = rng.normal(size=300), rng.normal(size=(2, len(truth), 300))
        found = resampled(
            ndtr(0.8 * hardness + 0.6 * luck) < shares[..., None], Bootstrap(n_resamples=200, seed=repeat)
        )
        a, b = found.of(range(len(true_a))), found.of(range(len(true_a), len(truth)))
        wrong += dominance(costs_a, a, costs_b, b).verdict != "undecided"
    return wrong / repeats


@pytest.mark.parametrize("name", ["a choice among equals", "one network each"])
def test_verdicts_are_seldom_wrong(name: str) -> None:
    assert false_verdicts(name, 60) <= 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_verdicts_are_wrong_in_one_of_twenty_at_most(name: str) -> None:
    found = false_verdicts(name, 2000)
    print(f"{name}: {found:.4f}")
    assert found <= 0.05


def test_a_clear_difference_is_found() -> None:
    rng = np.random.default_rng(0)
    shares = np.concatenate([RISING + 0.05, RISING])[:, None]
    found = resampled(rng.random((2, 8, 4000)) < shares, Bootstrap(n_resamples=300))
    a, b = found.of(range(4)), found.of(range(4, 8))
    assert dominance(GRID, a, GRID, b).verdict == "yes"
    assert dominance(GRID, b, GRID, a).verdict == "no"


# ---------------------------------------------------------------------------------------------- table and words


def row(a: str, b: str, verdict: str, **changes) -> DominanceRow:
    known = {
        "experiment": "toy", "format_a": a, "format_b": b, "cost_model": "linear_cost", "verdict": verdict,
        "smallest_difference": 0.25, "smallest_difference_low": -math.inf, "smallest_difference_high": 0.5,
        "cost": 1024.0, "overlap_low": 512.0, "overlap_high": 2048.0, "n_knots": 5, "n_seeds": 2, "n_images": 100,
        "confidence": 0.95,
    }  # fmt: skip
    return DominanceRow(**{**known, **changes})


def test_a_table_comes_back_as_it_was_written(tmp_path) -> None:
    none = dict.fromkeys(
        ["smallest_difference", "smallest_difference_low", "smallest_difference_high", "cost", "overlap_low",
         "overlap_high"]
    )  # fmt: skip
    rows = [row("a", "b", "undecided"), row("b", "a", "no overlap", **none)]
    write_table(tmp_path / "dominance.csv", DominanceRow, rows)
    assert read_table(tmp_path / "dominance.csv", DominanceRow) == rows


def test_verdicts_in_words() -> None:
    verdicts = {("a", "b"): "yes", ("b", "a"): "no", ("a", "c"): "yes", ("c", "a"): "no", ("b", "c"): "undecided",
                ("c", "b"): "no"}  # fmt: skip
    (sentence,) = verdict_sentences([row(*pair, verdict) for pair, verdict in verdicts.items()])
    assert sentence == "By linear cost, a dominates b and c; better somewhere, undecided elsewhere: b than c."
    both = [row("a", "b", "no"), row("b", "a", "no")]
    assert verdict_sentences(both) == ["By linear cost, each is better somewhere: a and b."]
    apart = [row("a", "b", "no overlap"), row("b", "a", "no overlap")]
    assert verdict_sentences(apart) == ["By linear cost, no common cost: a and b."]
