"""Growth, selection and surrogates, with surrogates that know everything and nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_tables import SMALL, evaluated, small_metrics, small_problem

from ib_analysis.search.dpp_net import DppNet, pareto_selection
from ib_analysis.search.evaluations import Evaluations
from ib_analysis.search.methods import search
from ib_analysis.search.problem import Problem
from ib_analysis.search.quality import exact_front, quality
from ib_analysis.search.space import Architecture, Choice, Space
from ib_analysis.search.surrogate import RecurrentSurrogate
from ib_analysis.search.table import TableEvaluator

BLIND = Problem(SMALL, small_problem().objectives, TableEvaluator({a: small_metrics(a) for a in SMALL.architectures()}))
"""Nothing is known before an evaluation: the surrogate predicts both objectives."""


def quick(space: Space, seed: int) -> RecurrentSurrogate:
    return RecurrentSurrogate(space, hidden=8, steps=5, seed=seed)


class Perfect:
    """Knows the table."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.columns = problem, ~np.array(problem.known_objectives())

    def fit(self, architectures: Sequence[Architecture], losses: np.ndarray) -> None:
        assert losses.shape == (len(architectures), self.columns.sum())

    def predict(self, architectures: Sequence[Architecture]) -> np.ndarray:
        return np.stack([evaluated(self.problem, one).losses[self.columns] for one in architectures])


class Useless(Perfect):
    """Says the same of all."""

    def predict(self, architectures: Sequence[Architecture]) -> np.ndarray:
        return np.zeros((len(architectures), int(self.columns.sum())))


def ratio(problem: Problem, method: DppNet, budget: int, seed: int) -> tuple[float, int, Evaluations]:
    evaluations = search(method, Evaluations(problem, budget), seed)
    found = quality(evaluations.found, exact_front(problem))
    return found.hypervolume_ratio, found.points_found, evaluations


def test_with_a_perfect_surrogate_the_front_is_found() -> None:
    """Of 243 architectures 70 are enough for most of it, and 140 for all of it."""
    points = len(exact_front(BLIND).points)
    for seed in range(3):
        method = DppNet(kept=10, surrogate=lambda space, seed: Perfect(BLIND))
        volume, _, evaluations = ratio(BLIND, method, 70, seed)
        assert volume > 0.99
        told = [note["rank_correlation"] for note in evaluations.notes[1:] if note["evaluated"] >= 3]
        assert told
        assert min(told) > 0.999
        _, all_found, _ = ratio(BLIND, method, 140, seed)
        assert all_found == points


def test_with_a_useless_one_it_is_growth_and_mutation_at_random() -> None:
    """Every evaluation is a child of what was kept, or a one-choice change of the front; the order says nothing."""
    method = DppNet(kept=6, spread=False, surrogate=lambda space, seed: Useless(BLIND))
    worse, better = [], []
    for seed in range(4):
        volume, _, evaluations = ratio(BLIND, method, 50, seed)
        worse.append(volume)
        better.append(ratio(BLIND, DppNet(kept=6, surrogate=lambda space, seed: Perfect(BLIND)), 50, seed)[0])
        assert all(isnan(note["rank_correlation"]) for note in evaluations.notes)
        before: list[Architecture] = [(0, 0, 0, 0, 0)]
        for one in (one.architecture for one in evaluations.found):
            assert any(sum(a != b for a, b in zip(one, old, strict=True)) <= 1 for old in before)
            before.append(one)
    assert np.mean(worse) < np.mean(better)


def test_growth_adds_one_layer_after_the_other() -> None:
    evaluations = search(DppNet(kept=3, surrogate=quick), Evaluations(small_problem(), 14), 0)
    grown = [one.architecture for one in evaluations.found]
    at = 0
    for layer, note in enumerate(evaluations.notes[:4]):
        for one in grown[at : at + int(note["evaluated"])]:
            assert set(one[layer + 1 :]) <= {0}
        at += int(note["evaluated"])
    assert evaluations.notes[0]["candidates"] == 3
    assert evaluations.repeats == 0


def test_growth_by_several_choices_conditions_and_resting_options() -> None:
    space = Space((Choice("a", (1, 2)), Choice("b", (1, 2, 3), {"a": (2,)}), Choice("c", (1, 2))))
    table = TableEvaluator(
        {one: {"error": float(10 - sum(one)), "cost": float(sum(one) + 2)} for one in space.architectures()}
    )
    problem = Problem(space, tuple(one for one in _objectives()), table)
    evaluations = search(DppNet((("a", "b"), ("c",)), {"c": 2}, kept=9, surrogate=quick), Evaluations(problem, 100), 0)
    assert {one.architecture for one in evaluations.found[:4]} == {(0, -1, 1), (1, 0, 1), (1, 1, 1), (1, 2, 1)}
    assert {one.architecture for one in evaluations.found} == set(space.architectures())


def _objectives():  # type: ignore[no-untyped-def]
    from ib_analysis.search.problem import Objective

    return Objective("error", "minimize", 0, 20), Objective("cost", "minimize", 0, 20)


def test_known_costs_are_not_left_to_the_surrogate() -> None:
    seen: list[tuple[int, ...]] = []

    class Watching(Useless):
        def fit(self, architectures: Sequence[Architecture], losses: np.ndarray) -> None:
            seen.append(losses.shape)

    problem = small_problem()
    search(DppNet(kept=5, surrogate=lambda space, seed: Watching(problem)), Evaluations(problem, 20), 0)
    assert seen
    assert all(columns == 1 for _, columns in seen)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20), st.integers(1, 25))
def test_selection_takes_whole_fronts_first(points: list[tuple[int, int]], count: int) -> None:
    losses = np.array(points, dtype=np.float64)

    def rank(k: int, alive: set[int]) -> int:
        beaten = [j for j in alive if (losses[j] <= losses[k]).all() and (losses[j] < losses[k]).any()]
        return 1 + max((rank(j, alive) for j in beaten), default=-1)

    ranks = [rank(k, set(range(len(points)))) for k in range(len(points))]
    for spread in (True, False):
        chosen = pareto_selection(losses, count, np.random.default_rng(0), spread)
        assert len(set(chosen)) == len(chosen) == min(count, len(points))
        assert sorted(ranks)[: len(chosen)] == sorted(ranks[k] for k in chosen)


def test_points_beside_are_not_selected_but_count() -> None:
    losses = np.array([[0.0, 3.0], [2.0, 2.0], [3.0, 0.5]])
    chosen = pareto_selection(losses, 2, np.random.default_rng(0), beside=np.array([[1.0, 1.0]]))
    assert sorted(chosen) == [0, 2]


def test_recurrent_surrogate_ranks_unseen_architectures() -> None:
    """From 80 of 243; also through a space with choices that are not always there."""
    from scipy.stats import spearmanr

    everything = list(SMALL.architectures())
    order = np.random.default_rng(0).permutation(len(everything))
    losses = np.stack([evaluated(BLIND, one).losses for one in everything])
    surrogate = RecurrentSurrogate(SMALL)
    with pytest.raises(RuntimeError, match="not been fitted"):
        surrogate.predict(everything)
    train, test = order[:80], order[80:]
    surrogate.fit([everything[k] for k in train], losses[train])
    predicted = surrogate.predict([everything[k] for k in test])
    for column in (0, 1):
        assert spearmanr(predicted[:, column], losses[test, column]).statistic > 0.85
    again = RecurrentSurrogate(SMALL)
    again.fit([everything[k] for k in train], losses[train])
    assert np.array_equal(again.predict(everything[:5]), surrogate.predict(everything[:5]))
    conditional = Space((Choice("a", (1, 2)), Choice("b", (1, 2), {"a": (2,)})))
    small = RecurrentSurrogate(conditional, steps=200)
    small.fit([(0, -1), (1, 0), (1, 1)], np.array([[0.1], [0.5], [0.9]]))
    assert np.abs(small.predict([(0, -1), (1, 0), (1, 1)]).ravel() - [0.1, 0.5, 0.9]).max() < 0.05


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (DppNet((("layer_0",),)), "growth must name every choice"),
        (DppNet(resting={"layer_1": "huge"}), "layer_1 cannot rest at 'huge'"),
    ],
)
def test_growth_that_does_not_fit_the_space(method: DppNet, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method.run(Evaluations(small_problem(), 10), 0)
