"""Problems, the counting of evaluations, their journal, and what bad tables say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from search_tables import SMALL, small_metrics, small_problem

from ib_analysis.artifacts import UserError
from ib_analysis.search.evaluations import Evaluated, Evaluations, SearchEnded, best
from ib_analysis.search.problem import Constraint, Objective, Problem
from ib_analysis.search.space import Choice, Space
from ib_analysis.search.table import TableEvaluator, read_table


def test_repeats_are_counted_and_not_evaluated() -> None:
    asked = []

    class Counting(TableEvaluator):
        def evaluate(self, architecture: tuple[int, ...]) -> dict[str, float]:
            asked.append(architecture)
            return dict(super().evaluate(architecture))

    given = small_problem()
    table = Counting({a: small_metrics(a) for a in SMALL.architectures()})
    evaluations = Evaluations(Problem(SMALL, given.objectives, table), budget=2)
    first = evaluations.evaluate((0, 0, 0, 0, 0))
    again = evaluations.evaluate((0, 0, 0, 0, 0))
    assert (first.repeated, again.repeated, evaluations.repeats, len(asked)) == (False, True, 1, 1)
    assert first.metrics == again.metrics
    evaluations.evaluate((1, 0, 0, 0, 0))
    with pytest.raises(SearchEnded, match="all 2 evaluations"):
        evaluations.evaluate((2, 0, 0, 0, 0))
    assert len(asked) == 2


def test_a_search_that_only_repeats_is_ended() -> None:
    evaluations = Evaluations(small_problem(), budget=5, patience=3)
    for _ in range(3):  # the first, and two repeats
        evaluations.evaluate((0, 0, 0, 0, 0))
    with pytest.raises(SearchEnded, match="last 3 proposals"):
        evaluations.evaluate((0, 0, 0, 0, 0))


def naive_front(found: list[Evaluated]) -> set[tuple[int, ...]]:
    return {
        one.architecture
        for one in found
        if not any((other.losses <= one.losses).all() and (other.losses < one.losses).any() for other in found)
    }


def test_front_so_far_is_that_of_all_pairs() -> None:
    evaluations = Evaluations(small_problem(), budget=60)
    rng = np.random.default_rng(0)
    while evaluations.left:
        evaluations.evaluate(SMALL.random(rng))
        assert {one.architecture for one in evaluations.front} == naive_front(evaluations.found)


def test_limits_that_nothing_keeps_leave_the_least_infeasible() -> None:
    given = small_problem()
    limits = (Constraint("cost", "at most", 0.5), Constraint("time", "at most", 4.0))
    problem = Problem(SMALL, given.objectives, given.evaluator, limits)
    evaluations = Evaluations(problem, budget=200)
    for architecture in list(SMALL.architectures())[:200]:
        evaluations.evaluate(architecture)
    assert [one.architecture for one in evaluations.front] == [(0, 0, 0, 0, 0)]
    assert evaluations.front[0].violation == pytest.approx(1.0)
    assert best([]) == []


def test_journal_goes_on_and_a_half_line_is_cut_off(tmp_path: Path) -> None:
    journal = tmp_path / "search" / "one.jsonl"
    problem = small_problem()
    first = Evaluations(problem, 10, journal)
    one, two = first.evaluate((0, 1, 2, 0, 0)), first.evaluate((0, 1, 2, 0, 1))
    with journal.open("a") as file:
        file.write('{"architecture": [0, 0')

    class Never(TableEvaluator):
        def evaluate(self, architecture: tuple[int, ...]) -> dict[str, float]:
            raise AssertionError("it was evaluated before")

    never = Never({a: small_metrics(a) for a in SMALL.architectures()})
    again = Evaluations(Problem(SMALL, problem.objectives, never), 10, journal)
    assert again.evaluate(one.architecture).metrics == one.metrics
    assert again.evaluate(two.architecture).losses.tolist() == two.losses.tolist()
    assert not again.repeats
    assert [json.loads(line) for line in journal.read_text().splitlines()][1:] == [
        {"architecture": list(found.architecture), "metrics": found.metrics} for found in (one, two)
    ]


def test_journal_of_another_problem_and_damaged(tmp_path: Path) -> None:
    journal = tmp_path / "one.jsonl"
    Evaluations(small_problem(), 10, journal)
    other = Space((Choice("a", (1, 2)),))
    table = TableEvaluator({(0,): {"error": 1.0}, (1,): {"error": 2.0}})
    problem = Problem(other, (Objective("error", "minimize", 0, 3),), table)
    with pytest.raises(UserError, match="another space"):
        Evaluations(problem, 10, journal)
    journal.write_text("{}\nno json\n")
    with pytest.raises(UserError, match="damaged"):
        Evaluations(small_problem(), 10, journal)


def test_journal_of_another_table(tmp_path: Path) -> None:
    """Of the same space and metrics: only what it says tells it from this one."""
    journal, given = tmp_path / "one.jsonl", small_problem()
    mine = TableEvaluator({a: small_metrics(a) for a in SMALL.architectures()})
    other = TableEvaluator({a: small_metrics(a, seed=1) for a in SMALL.architectures()})
    turned = TableEvaluator(dict(reversed([(a, small_metrics(a)) for a in SMALL.architectures()])))
    problem = Problem(SMALL, given.objectives, mine)
    found = Evaluations(problem, 10, journal, identity=mine.identity).evaluate((0, 1, 2, 0, 0))
    with pytest.raises(UserError, match=r"one\.jsonl is of another evaluator; move it away"):
        Evaluations(Problem(SMALL, given.objectives, other), 10, journal, identity=other.identity)
    with pytest.raises(UserError, match="of another evaluator"):
        Evaluations(problem, 10, journal)
    again = Evaluations(problem, 10, journal, identity=turned.identity)
    assert again.evaluate(found.architecture).metrics == found.metrics


def test_what_is_no_problem() -> None:
    given = small_problem()
    with pytest.raises(ValueError, match="no metric 'energy'; this problem's evaluator gives error, cost, time"):
        Problem(SMALL, (Objective("energy", "minimize", 0, 1),), given.evaluator)
    with pytest.raises(ValueError, match="each of them once"):
        Problem(SMALL, (), given.evaluator)
    with pytest.raises(ValueError, match="must be better than its reference"):
        Objective("accuracy", "maximize", 80, 100)
    with pytest.raises(ValueError, match="choose minimize or maximize"):
        Objective("accuracy", "down", 0, 100)  # type: ignore[arg-type]


TINY = Space((Choice("depth", (1, 2)), Choice("kind", ("a", "b"), {"depth": (2,)})))


def test_a_limit_is_a_number() -> None:
    with pytest.raises(ValueError, match="the limit of cost is nan; it must be a finite number"):
        Constraint("cost", "at most", float("nan"))


def test_table_with_columns_of_choices(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("depth,kind,error\n1,,9\n2,a,8\n2,b,7\n")
    (tmp_path / "two.csv").write_text("kind,depth,cost\nb,2,30\n,1,10\na,2,20\n")
    table = read_table([tmp_path / "one.csv", tmp_path / "two.csv"], TINY, ["error", "cost"], device_metrics=["cost"])
    assert dict(table.evaluate((1, 1))) == {"error": 7.0, "cost": 30.0}
    assert table.device((0, -1)) == {"cost": 10.0}


def test_a_table_of_a_spreadsheet_begins_with_a_mark_of_byte_order(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("depth,kind,error\n1,,9\n", encoding="utf-8-sig")
    assert dict(read_table([path], TINY, ["error"]).evaluate((0, -1))) == {"error": 9.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("depth,error\n1,9\n", "no column kind, which names"),
        ("depth,kind,loss\n1,,9\n", "no column error"),
        ("depth,kind,error\n1,,9\n1,,8\n", "line 3: this architecture has a row already"),
        ("depth,kind,error\n1,,many\n", "line 2: could not convert"),
        ("depth,kind,error\n1,,nan\n", "not finite"),
        ("depth,kind,error\n3,,9\n", "depth is '3'; it can be 1, 2"),
        ("depth,kind,error\n1\n", "line 2: 1 fields, and the header names 3"),
        ("depth,kind,error\n1,,9,5\n", "line 2: 4 fields, and the header names 3"),
        ("depth,kind,error\n2,a,8\n\n1,,9\n2,b,7,0\n", "line 5: 4 fields"),
        ("depth,kind,error,error\n1,,9,3\n", "has the column 'error' more than once"),
        ("depth,kind,error\n", "there are no rows"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_table([path], TINY, ["error"])


def test_tables_that_do_not_agree(tmp_path: Path) -> None:
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    one.write_text("depth,kind,error\n1,,9\n2,a,8\n")
    two.write_text("depth,kind,cost\n1,,9\n")
    with pytest.raises(UserError, match="has 1 of the 2 architectures"):
        read_table([one, two], TINY, ["error", "cost"])
    with pytest.raises(UserError, match="several tables"):
        read_table([one, one], TINY, ["error"])
    with pytest.raises(UserError, match="cannot be read"):
        read_table([tmp_path / "none.csv"], TINY, ["error"])
    with pytest.raises(UserError, match="no row for the architecture"):
        read_table([one], TINY, ["error"]).evaluate((1, 1))
