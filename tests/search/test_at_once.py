"""Proposals that are made before any of them is evaluated: whoever evaluates them side by side finds the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from search_tables import SMALL, small_problem

from ib_analysis.search.dpp_net import DppNet
from ib_analysis.search.evaluations import Evaluations
from ib_analysis.search.local_search import ParetoLocalSearch
from ib_analysis.search.methods import Method, search
from ib_analysis.search.monas import Monas
from ib_analysis.search.optuna_search import OptunaSearch
from ib_analysis.search.problem import Metrics
from ib_analysis.search.space import Architecture
from ib_analysis.search.surrogate import RecurrentSurrogate

METHODS: dict[str, Method] = {
    "local": ParetoLocalSearch(initial=6, at_once=4),
    "random": OptunaSearch("random", at_once=4),
    "nsga2": OptunaSearch("nsga2", population=6, at_once=4),
    "tpe": OptunaSearch("tpe", at_once=4),
    "dpp_net": DppNet(kept=4, surrogate=lambda space, seed: RecurrentSurrogate(space, hidden=4, steps=3, seed=seed)),
    "monas": Monas(batch=4, redraws=2, warm_start=8, imitation_steps=1, local=0.5),
}
BUDGET = 22


class Elsewhere(Exception):
    """Something is evaluated elsewhere first."""


@pytest.mark.parametrize("name", METHODS)
def test_evaluated_side_by_side_it_finds_the_same(name: str, tmp_path: Path) -> None:
    """Each time that something is new, the method is left off, and begins anew when it is there."""
    pytest.importorskip("optuna")
    batches: list[list[Architecture]] = []
    whole = search(METHODS[name], Evaluations(small_problem(), BUDGET, ahead=batches.append), 3)
    assert len(whole.found) == BUDGET
    assert max(map(len, batches)) == 4
    assert len(batches) <= BUDGET / 2  # most proposals are made together
    assert [one for batch in batches for one in batch] == [one.architecture for one in whole.found]

    there: set[Architecture] = set()
    left_off: list[list[Architecture]] = []

    def ahead(architectures: Sequence[Architecture]) -> None:
        if not there.issuperset(architectures):
            left_off.append(list(architectures))
            raise Elsewhere

    for _ in range(2 * BUDGET):
        try:
            again = search(
                METHODS[name], Evaluations(small_problem(), BUDGET, tmp_path / "again.jsonl", ahead=ahead), 3
            )
            break
        except Elsewhere:
            there.update(left_off[-1])
    assert left_off == batches
    assert [one.architecture for one in again.found] == [one.architecture for one in whole.found]
    assert again.repeats == whole.repeats


@pytest.mark.parametrize("name", METHODS)
def test_killed_within_the_last_batch_nothing_beyond_the_budget_is_announced(name: str, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    told: list[Architecture] = []

    class Dying(Evaluations):
        def _keep(self, architecture: Architecture, metrics: Metrics) -> None:
            super()._keep(architecture, metrics)
            if len(self.found) == BUDGET - 2:
                raise Elsewhere

    with pytest.raises(Elsewhere):
        search(METHODS[name], Dying(small_problem(), BUDGET, tmp_path / "killed.jsonl"), 3)
    again = search(METHODS[name], Evaluations(small_problem(), BUDGET, tmp_path / "killed.jsonl", ahead=told.extend), 3)
    assert told == [one.architecture for one in again.found][-1:]  # the last but one had been written


@pytest.mark.parametrize("name", ["local", "random", "nsga2", "tpe"])
def test_made_longer_it_goes_on_alike(name: str, tmp_path: Path) -> None:
    """The shorter one ends within a batch."""
    pytest.importorskip("optuna")
    whole = search(METHODS[name], Evaluations(small_problem(), BUDGET), 3)
    search(METHODS[name], Evaluations(small_problem(), 10, tmp_path / "short.jsonl"), 3)
    longer = search(METHODS[name], Evaluations(small_problem(), BUDGET, tmp_path / "short.jsonl"), 3)
    assert [one.architecture for one in longer.found] == [one.architecture for one in whole.found]


def test_local_search_exhausts_a_space_in_batches() -> None:
    evaluations = search(ParetoLocalSearch(initial=5, at_once=10), Evaluations(small_problem(), 1000), 0)
    assert {one.architecture for one in evaluations.found} == set(SMALL.architectures())
    assert evaluations.repeats == 0


def test_a_batch_beyond_the_budget_is_evaluated_up_to_it() -> None:
    told: list[Sequence[Architecture]] = []
    first, second, third, *_ = SMALL.architectures()
    evaluations = Evaluations(small_problem(), 2, ahead=told.append)
    found = evaluations.evaluate_all([first, second, first])
    assert [one.repeated for one in found] == [False, False, True]
    assert told == [[first, second]]
    with pytest.raises(Exception, match="all 2 evaluations have been made"):
        evaluations.evaluate_all([first, third])
    assert len(told) == 1  # there is no room for the third


@pytest.mark.parametrize("made", [lambda: ParetoLocalSearch(at_once=0), lambda: OptunaSearch("tpe", at_once=0)])
def test_at_once_is_at_least_one(made: object) -> None:
    with pytest.raises(ValueError, match="at_once is 0"):
        made()  # type: ignore[operator]


@pytest.mark.parametrize("name", ["random", "nsga2", "tpe"])
def test_killed_while_a_batch_is_told_its_worth(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    optuna = pytest.importorskip("optuna")
    whole = search(METHODS[name], Evaluations(small_problem(), BUDGET, tmp_path / "whole.jsonl"), 3)
    told = 0
    tell = optuna.Study.tell

    def dying(self: object, *arguments: object, **options: object) -> object:
        nonlocal told
        told += 1
        if told == 14:  # one of the fourth batch is told
            raise Elsewhere
        return tell(self, *arguments, **options)

    monkeypatch.setattr(optuna.Study, "tell", dying)
    with pytest.raises(Elsewhere):
        search(METHODS[name], Evaluations(small_problem(), BUDGET, tmp_path / "killed.jsonl"), 3)
    again = search(METHODS[name], Evaluations(small_problem(), BUDGET, tmp_path / "killed.jsonl"), 3)
    assert [one.architecture for one in again.found] == [one.architecture for one in whole.found]
    assert again.repeats == whole.repeats
