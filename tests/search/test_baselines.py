"""Local search and Optuna's samplers: what they find, what they count, and that a killed search goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from search_tables import SMALL, small_metrics, small_problem

from ib_analysis.artifacts import UserError
from ib_analysis.search import optuna_search
from ib_analysis.search.evaluations import Evaluations
from ib_analysis.search.local_search import ParetoLocalSearch
from ib_analysis.search.methods import Method, search
from ib_analysis.search.optuna_search import OptunaSearch
from ib_analysis.search.problem import Constraint, Objective, Problem
from ib_analysis.search.quality import exact_front, quality
from ib_analysis.search.space import Choice, Space
from ib_analysis.search.table import TableEvaluator

pytest.importorskip("optuna")

METHODS: dict[str, Method] = {
    "local": ParetoLocalSearch(initial=8),
    "random": OptunaSearch("random"),
    "nsga2": OptunaSearch("nsga2", population=8),
    "tpe": OptunaSearch("tpe"),
}


def proposals(evaluations: Evaluations) -> list[tuple[int, ...]]:
    return [one.architecture for one in evaluations.found]


@pytest.mark.parametrize("name", METHODS)
def test_budget_counts_distinct_ones_and_seeds_repeat(name: str) -> None:
    first, again, other = (search(METHODS[name], Evaluations(small_problem(), 24), seed) for seed in (0, 0, 1))
    assert len(set(proposals(first))) == len(first.found) == 24
    assert (proposals(first), first.repeats) == (proposals(again), again.repeats)
    assert proposals(first) != proposals(other)


def test_local_search_never_repeats_and_exhausts_a_space() -> None:
    evaluations = search(ParetoLocalSearch(initial=5), Evaluations(small_problem(), 1000), 0)
    assert set(proposals(evaluations)) == set(SMALL.architectures())
    assert evaluations.repeats == 0


def test_local_search_after_its_beginning_stays_near_the_front() -> None:
    evaluations = Evaluations(small_problem(), 40)
    fronts = []

    class Watching(Evaluations):
        def evaluate_all(self, architectures: list[tuple[int, ...]]):  # type: ignore[no-untyped-def]
            fronts.append([one.architecture for one in self.front])
            return super().evaluate_all(architectures)

    evaluations = search(ParetoLocalSearch(initial=8), Watching(small_problem(), 40), 3)
    for one, front in list(zip(evaluations.found, fronts, strict=False))[8:]:
        assert any(sum(a != b for a, b in zip(one.architecture, member, strict=True)) == 1 for member in front)


def test_local_search_is_worth_more_than_random() -> None:
    """Over seeds, at a quarter of the space: the order that is known of large tables."""
    problem = small_problem()
    front = exact_front(problem)
    ratio = {
        name: sum(quality(search(METHODS[name], Evaluations(problem, 60), s).found, front).hypervolume_ratio
                  for s in range(6)) / 6
        for name in ("local", "random")
    }  # fmt: skip
    assert ratio["local"] > ratio["random"]
    assert ratio["local"] > 0.95


@pytest.mark.parametrize("at", [8, 13])  # where a generation of NSGA-II begins, and within one
@pytest.mark.parametrize("name", METHODS)
def test_a_killed_search_goes_on(name: str, at: int, tmp_path: Path) -> None:
    whole = search(METHODS[name], Evaluations(small_problem(), 22, tmp_path / "whole.jsonl"), 5)

    class Killed(BaseException):
        pass

    class Dying(TableEvaluator):
        asked = 0

        def evaluate(self, architecture: tuple[int, ...]) -> dict[str, float]:
            Dying.asked += 1
            if Dying.asked == at:
                raise Killed
            return dict(super().evaluate(architecture))

    given = small_problem()
    table = Dying({a: small_metrics(a) for a in SMALL.architectures()}, ("cost", "time"))
    problem = Problem(SMALL, given.objectives, table)
    journal = tmp_path / "killed.jsonl"
    with pytest.raises(Killed):
        search(METHODS[name], Evaluations(problem, 22, journal), 5)
    on = search(METHODS[name], Evaluations(problem, 22, journal), 5)
    assert proposals(on) == proposals(whole)
    assert on.repeats == whole.repeats
    assert Dying.asked == 23  # all 22, and the one that died: none twice


def test_a_search_of_optunas_own_nsga2_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such are journals of before; uninterrupted, both propose the same."""
    from optuna.samplers import NSGAIISampler

    whole = search(METHODS["nsga2"], Evaluations(small_problem(), 40), 5)
    with monkeypatch.context() as patch:
        patch.setattr(optuna_search, "_nsga2", lambda n, seed: NSGAIISampler(population_size=n, seed=seed))
        old = search(METHODS["nsga2"], Evaluations(small_problem(), 14, tmp_path / "old.jsonl"), 5)
    on = search(METHODS["nsga2"], Evaluations(small_problem(), 40, tmp_path / "old.jsonl"), 5)
    assert proposals(old) == proposals(whole)[:14]
    assert proposals(on) == proposals(whole)


@pytest.mark.parametrize("lost", [25, 400])
def test_half_a_line_of_optunas_journal_is_cut_off(tmp_path: Path, lost: int) -> None:
    """25 bytes are a part of the last line; 400 the last line, which tells the result, and more."""
    whole = search(METHODS["tpe"], Evaluations(small_problem(), 16, tmp_path / "whole.jsonl"), 5)
    journal = tmp_path / "torn.jsonl"
    search(METHODS["tpe"], Evaluations(small_problem(), 12, journal), 5)
    trials = tmp_path / "torn.optuna"
    trials.write_bytes(trials.read_bytes()[:-lost])
    for _ in range(2):  # what was cut off must not stand in the way later either
        on = search(METHODS["tpe"], Evaluations(small_problem(), 16, journal), 5)
        assert (proposals(on), on.repeats) == (proposals(whole), whole.repeats)


def test_optunas_journal_damaged_elsewhere_can_be_moved_away(tmp_path: Path) -> None:
    journal, trials = tmp_path / "one.jsonl", tmp_path / "one.optuna"
    whole = search(METHODS["tpe"], Evaluations(small_problem(), 12, journal), 5)
    lines = trials.read_bytes().splitlines(keepends=True)
    trials.write_bytes(b"".join([*lines[:20], b'{"op_co\n', *lines[20:]]))
    with pytest.raises(UserError, match=r"optuna is damaged; move it away, and its trials are made again from one"):
        search(METHODS["tpe"], Evaluations(small_problem(), 12, journal), 5)
    trials.unlink()
    written = journal.read_bytes()
    again = search(METHODS["tpe"], Evaluations(small_problem(), 12, journal), 5)
    assert proposals(again) == proposals(whole)
    assert journal.read_bytes() == written  # nothing was evaluated


@pytest.mark.parametrize("name", METHODS)
def test_limits_and_conditional_choices(name: str) -> None:
    space = Space(
        (
            Choice("kind", ("plain", "number")),
            Choice("bits", (2, 4, 8), {"kind": ("number",)}),
            Choice("depth", (1, 2, 3, 4, 5)),
        )
    )
    table = {}
    for one in space.architectures():
        values = space.values(one)
        bits, depth = float(values.get("bits", 16)), float(values["depth"])
        table[one] = {"error": 60 / bits + 30 / depth, "cost": bits * depth}
    evaluator = TableEvaluator(table)
    objectives = (Objective("error", "minimize", 0, 70), Objective("cost", "minimize", 0, 80))
    problem = Problem(space, objectives, evaluator, (Constraint("cost", "at most", 12),))
    evaluations = search(METHODS[name], Evaluations(problem, 16), 0)
    assert len(evaluations.found) == 16
    assert all(one.metrics["cost"] <= 12 for one in evaluations.front)


@pytest.mark.parametrize("name", ["nsga2", "tpe"])
def test_limits_draw_proposals_to_what_keeps_them(name: str) -> None:
    """Of the later proposals clearly more keep a limit than where there is none: the samplers are told of it."""
    given, limit = small_problem(), Constraint("error", "at most", 20.0)
    limited = Problem(SMALL, given.objectives, given.evaluator, (limit,))
    kept = {}
    for problem in (given, limited):
        found = [one for seed in range(3) for one in search(METHODS[name], Evaluations(problem, 36), seed).found[16:]]
        kept[problem.constraints] = sum(limit.violation(one.metrics["error"]) == 0 for one in found)
    assert kept[limited.constraints] > 1.3 * kept[()]


def test_unknown_sampler() -> None:
    with pytest.raises(ValueError, match="no sampler 'cma'; choose from random, nsga2, tpe"):
        OptunaSearch("cma")  # type: ignore[arg-type]
