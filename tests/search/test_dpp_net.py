"""Growth, selection and surrogates, with surrogates that know everything and nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

import numpy as np
import pytest
from search_tables import SMALL, evaluated, small_metrics, small_problem

from ib_analysis.search.dpp_net import DppNet
from ib_analysis.search.evaluations import Evaluations
from ib_analysis.search.methods import search
from ib_analysis.search.predictions import Predictions
from ib_analysis.search.problem import Constraint, Metrics, Problem
from ib_analysis.search.quality import exact_front, quality
from ib_analysis.search.space import Architecture, Choice, Space
from ib_analysis.search.surrogate import RecurrentSurrogate
from ib_analysis.search.table import TableEvaluator

BLIND = Problem(SMALL, small_problem().objectives, TableEvaluator({a: small_metrics(a) for a in SMALL.architectures()}))
"""Nothing is known before an evaluation: the surrogate predicts both objectives."""


def quick(space: Space, seed: int) -> RecurrentSurrogate:
    return RecurrentSurrogate(space, hidden=8, steps=5, seed=seed)


class Perfect:
    """Knows the table: the error, the cost where that is not known, and how the limits are kept that are not."""

    def __init__(self, problem: Problem, costs_known: bool = False) -> None:
        told = problem.evaluator.device_metrics if costs_known else ()
        self.problem = problem
        self.objectives = [one for one in problem.objectives if one.metric not in told]
        self.constraints = [one for one in problem.constraints if one.metric not in told]

    def fit(self, architectures: Sequence[Architecture], losses: np.ndarray) -> None:
        assert np.array_equal(losses, Perfect.predict(self, architectures))

    def predict(self, architectures: Sequence[Architecture]) -> np.ndarray:
        rows = [self.problem.evaluator.evaluate(one) for one in architectures]
        return np.array(
            [
                [one.loss(row[one.metric]) for one in self.objectives]
                + [one.excess(row[one.metric]) for one in self.constraints]
                for row in rows
            ]
        )


class Useless(Perfect):
    """Says the same of all."""

    def predict(self, architectures: Sequence[Architecture]) -> np.ndarray:
        return np.zeros((len(architectures), len(self.objectives) + len(self.constraints)))


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
        told = [note["rank_correlation error"] for note in evaluations.notes[1:] if note["evaluated"] >= 3]
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
        assert all(isnan(note["rank_correlation cost"]) for note in evaluations.notes)
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


class Asked(TableEvaluator):
    """Counts how often it is asked for device metrics."""

    asked = 0

    def device(self, architecture: Architecture) -> Metrics:
        self.asked += 1
        return super().device(architecture)


@pytest.mark.parametrize("costs_known", [True, False])
def test_costs_are_free_or_learned(costs_known: bool) -> None:
    """Learned costs are never asked for; known ones are not left to the surrogate."""
    columns: list[int] = []

    class Watching(Useless):
        def fit(self, architectures: Sequence[Architecture], losses: np.ndarray) -> None:
            columns.append(losses.shape[1])

    table = Asked({a: small_metrics(a) for a in SMALL.architectures()}, ("cost", "time"))
    problem = Problem(SMALL, small_problem().objectives, table, (Constraint("time", "at most", 20),))
    method = DppNet(kept=5, costs_known=costs_known, surrogate=lambda space, seed: Watching(problem, costs_known))
    evaluations = search(method, Evaluations(problem, 20), 0)
    assert (table.asked > 0) == costs_known
    assert set(columns) == ({1} if costs_known else {3})
    assert ("rank_correlation cost" in evaluations.notes[1]) == (not costs_known)


@pytest.mark.parametrize("costs_known", [True, False])
def test_limits_are_kept(costs_known: bool) -> None:
    """On what is known and on what is predicted; with a perfect surrogate their front is found."""
    given = small_problem()
    limits = (Constraint("time", "at most", 15), Constraint("error", "at most", 35))
    problem = Problem(SMALL, given.objectives, given.evaluator, limits)
    front = exact_front(problem)
    assert front.violation == 0
    assert len(front.points) < len(exact_front(given).points)
    method = DppNet(kept=8, costs_known=costs_known, surrogate=lambda space, seed: Perfect(problem, costs_known))
    for seed in range(2):
        evaluations = search(method, Evaluations(problem, 60), seed)
        assert all(one.violation == 0 for one in evaluations.front)
        assert quality(evaluations.found, front).hypervolume_ratio > 0.98
    without = search(
        DppNet(kept=8, costs_known=costs_known, surrogate=lambda space, seed: Perfect(given, costs_known)),
        Evaluations(given, 60),
        0,
    )
    broken = [sum(problem.violation(one.metrics) > 0 for one in found.found) for found in (evaluations, without)]
    assert broken[0] < broken[1]


def test_of_limits_that_nothing_keeps_the_nearest_is_found() -> None:
    given = small_problem()
    impossible = (Constraint("time", "at most", 3), Constraint("error", "at most", 30))
    problem = Problem(SMALL, given.objectives, given.evaluator, impossible)
    front = exact_front(problem)
    assert front.violation > 0
    evaluations = search(
        DppNet(kept=8, surrogate=lambda space, seed: Perfect(problem, True)), Evaluations(problem, 60), 0
    )
    assert {one.violation for one in evaluations.front} == {front.violation}
    assert {one.architecture for one in evaluations.front} <= {
        one for members in front.architectures for one in members
    }


def test_predictions_are_exact_where_nothing_is_left_to_guess() -> None:
    given = small_problem()
    limits = (Constraint("time", "at most", 12), Constraint("error", "at most", 36))
    problem = Problem(SMALL, given.objectives, given.evaluator, limits)
    everything = [evaluated(problem, one) for one in SMALL.architectures()]
    for costs_known in (True, False):
        predictions = Predictions(problem, Perfect(problem, costs_known), costs_known)
        with pytest.raises(RuntimeError, match="nothing to predict from"):
            predictions.of([(0, 0, 0, 0, 0)])
        predictions.learn(everything[:5])
        losses, violations = predictions.of([one.architecture for one in everything])
        assert np.allclose(losses, [one.losses for one in everything], atol=1e-12)
        assert np.allclose(violations, [one.violation for one in everything], atol=1e-12)


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
