"""`ib search` through the command line, on a small table whose rows are columns of choices."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ib_analysis.artifacts import UserError
from ib_analysis.cli import main
from ib_analysis.information.table import read_table
from ib_analysis.studies.architecture_search.config import ArchitectureSearchConfig
from ib_analysis.studies.architecture_search.problems import problems
from ib_analysis.studies.architecture_search.rows import (
    CurveRow,
    FrontRow,
    MethodRow,
    RoundRow,
    SearchRow,
    TransferRow,
)

METHODS = (
    "random",
    "nsga2",
    "tpe",
    "local_search",
    "monas",
    "monas_refined",
    "dpp_net",
    "dpp_net_costs_learned",
)
CONFIG = f"""
tables: [table.csv]
choices: {{first: [none, small, large], second: [none, small, large], last: ["1", "2", "4"]}}
accuracy: accuracy
accuracy_reference: 50
costs: [cost, time]
methods: [{", ".join(METHODS)}]
budget: 12
seeds: [0, 1]
"""


def rows_of_the_table() -> list[tuple[str, str, str, float, int, int]]:
    """Choices, accuracy, cost, time."""
    rows = []
    for a, b, c in product(range(3), range(3), range(3)):
        accuracy = 55 + 8 * a + 5 * b + 4 * c - 2 * (a == b) - 1.5 * a * b
        sizes = ("none", "small", "large")
        rows.append((sizes[a], sizes[b], "124"[c], accuracy, 1 + a * a + b + 2 * c, 3 + 4 * c + b * b))
    return rows


def write_inputs() -> None:
    lines = ["first,second,last,accuracy,cost,time", *(",".join(map(str, row)) for row in rows_of_the_table())]
    Path("table.csv").write_text("\n".join(lines) + "\n")
    Path("mine.yaml").write_text(CONFIG)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which everything has been run."""
    pytest.importorskip("optuna")
    folder = tmp_path_factory.mktemp("architecture_search")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("IB_DATA_ROOT", raising=False)
        write_inputs()
        assert main(["search", "mine.yaml", "--tables", f"[{folder}/table.csv]"]) == 0
    return folder


def test_tables(done: Path) -> None:
    rows = read_table(done / "checkpoints/mine/searches.csv", SearchRow)
    assert {(row.cost, row.method, row.seed) for row in rows} == set(product(("cost", "time"), METHODS, (0, 1)))
    assert all(row.evaluations == 12 for row in rows)
    assert all(0 < row.hypervolume_ratio <= 1 + 1e-9 for row in rows)
    assert all((row.rank_correlation is not None) == row.method.startswith("dpp_net") for row in rows)
    assert all((row.rank_correlation_cost is not None) == row.method.endswith("costs_learned") for row in rows)
    for row in read_table(done / "checkpoints/mine/architecture_search.csv", MethodRow):
        own = [one.hypervolume_ratio for one in rows if (one.cost, one.method) == (row.cost, row.method)]
        half = 12.706205 * np.std(own, ddof=1) / np.sqrt(2)  # Student's t with one degree of freedom, 97.5 %
        assert row.hypervolume_ratio == pytest.approx(np.mean(own), rel=1e-6)
        assert row.hypervolume_ratio_high - row.hypervolume_ratio == pytest.approx(half, rel=1e-5, abs=1e-8)
    for row in rows:
        found = json.loads(
            (done / f"checkpoints/mine/searches/{row.cost}_{row.method}_seed{row.seed}.json").read_text()
        )
        assert len(found["curve"]) == 12
        assert found["curve"] == sorted(found["curve"])
        assert found["curve"][-1] == pytest.approx(row.hypervolume_ratio, abs=1e-8)


def test_rounds_say_of_how_many_architectures_a_rank_correlation_is(done: Path) -> None:
    rows = read_table(done / "checkpoints/mine/rounds.csv", RoundRow)
    assert {(row.method, row.metric) for row in rows if row.cost == "time"} == {
        ("dpp_net", "accuracy"), ("dpp_net_costs_learned", "accuracy"), ("dpp_net_costs_learned", "time")
    }  # fmt: skip
    for row in rows:
        values, n = [], []
        for seed in (0, 1):
            path = done / f"checkpoints/mine/searches/{row.cost}_{row.method}_seed{seed}.json"
            for note in json.loads(path.read_text())["rounds"]:
                if note["round"] == row.round and note[f"rank_correlation {row.metric}"] is not None:
                    values.append(note[f"rank_correlation {row.metric}"])
                    n.append(note["evaluated"])
        assert row.n_seeds == len(values) > 0
        assert row.rank_correlation == pytest.approx(np.mean(values), rel=1e-6, abs=1e-8)
        assert row.n_architectures == np.mean(n) >= 3


def test_the_whole_table_is_the_exact_front(
    done: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(done)
    options = ["--name", "all", "--tables", f"[{done}/table.csv]", "--budget", "27", "--methods", "[local_search]"]
    assert main(["search", "mine.yaml", *options]) == 0
    rows = read_table(done / "checkpoints/all/architecture_search.csv", MethodRow)
    assert [row.hypervolume_ratio for row in rows] == pytest.approx([1.0, 1.0])
    assert all((row.points_found, row.igd_plus) == (row.exact_points, 0) for row in rows)
    assert "Means over 2 seeds at 27 distinct evaluations" in capsys.readouterr().out


def test_only_what_is_missing_is_run_again(
    done: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(done)
    lost = Path("checkpoints/mine/searches/time_monas_seed1.json")
    before = {path: path.read_bytes() for path in Path("checkpoints/mine/searches").iterdir()}
    lost.unlink()
    capsys.readouterr()
    assert main(["search", "mine.yaml", "--tables", f"[{done}/table.csv]"]) == 0
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if " seed " in line and "time" in line] == [
        line for line in said.splitlines() if line.startswith("time monas seed 1: ")
    ]
    assert all(path.read_bytes() == text for path, text in before.items() if path != lost)
    again, old = json.loads(lost.read_text()), json.loads(before[lost])
    assert (again["architectures"], again["curve"]) == (old["architectures"], old["curve"])


def area(points: list[tuple[float, float]]) -> float:
    """Share of the unit box that points (cost, error) dominate, summed along their staircase."""
    total, low = 0.0, 1.0
    corners = sorted(points)
    for (x, y), (after, _) in zip(corners, [*corners[1:], (1.0, 0.0)], strict=True):
        low = min(low, y)
        total += max(0.0, min(after, 1.0) - min(x, 1.0)) * (1.0 - low)
    return total


def test_transfer_and_fronts(done: Path) -> None:
    """Regrets against areas of staircases that are computed here from the fronts' architectures."""
    table = {(a, b, c): (accuracy, cost, time) for a, b, c, accuracy, cost, time in rows_of_the_table()}
    most = {"cost": max(row[1] for row in table.values()), "time": max(row[2] for row in table.values())}

    def points(of: list[FrontRow], target: str) -> list[tuple[float, float]]:
        found = []
        for row in of:
            accuracy, *costs = table[tuple(word.split("=")[1] for word in row.architecture.split())]
            found.append((costs[target == "time"] / most[target], (100 - accuracy) / 50))
        return found

    fronts = read_table(done / "checkpoints/mine/fronts.csv", FrontRow)
    whole = {
        cost: area([((costs[cost == "time"]) / most[cost], (100 - a) / 50) for a, *costs in table.values()])
        for cost in ("cost", "time")
    }
    exact = {cost: [row for row in fronts if (row.cost, row.method) == (cost, "exact")] for cost in whole}
    for row in read_table(done / "checkpoints/mine/transfer.csv", TransferRow):
        if row.method == "exact":
            ends = area(points(exact[row.source], row.target)) / whole[row.target]
            assert row.regret == pytest.approx(1 - ends, abs=1e-8)
            assert (row.regret < 1e-12) == (row.source == row.target)
        else:
            assert row.n_seeds == 2
            assert row.shared is None
            own = [one for one in read_table(done / "checkpoints/mine/searches.csv", SearchRow)
                   if (one.cost, one.method) == (row.source, row.method)]  # fmt: skip
            if row.source == row.target:
                assert row.regret == pytest.approx(1 - np.mean([one.hypervolume_ratio for one in own]), abs=1e-8)
    shared = {row.architecture for row in exact["cost"]} & {row.architecture for row in exact["time"]}
    assert {row.shared for row in read_table(done / "checkpoints/mine/transfer.csv", TransferRow)
            if row.method == "exact" and row.source != row.target} == {len(shared)}  # fmt: skip
    median = [row for row in fronts if (row.cost, row.method) == ("time", "random")]
    assert len({row.seed for row in median}) == 1
    assert [row.cost_value for row in median] == sorted(row.cost_value for row in median)


def test_limits(done: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """Limits on the accuracy, on the cost and on what is no objective; then one that nothing can meet."""
    monkeypatch.chdir(done)
    options = ["--tables", f"[{done}/table.csv]", "--methods", "[local_search, dpp_net]", "--costs", "[cost]"]
    assert main(["search", "mine.yaml", *options, "--name", "limits", "--limits", "{accuracy: 65, time: 9}"]) == 0
    for row in read_table(done / "checkpoints/limits/fronts.csv", FrontRow):
        a, b, c = (word.split("=")[1] for word in row.architecture.split())
        ((accuracy, time),) = [(x[3], x[5]) for x in rows_of_the_table() if x[:3] == (a, b, c)]
        assert accuracy >= 65
        assert time <= 9
    rows = read_table(done / "checkpoints/limits/architecture_search.csv", MethodRow)
    assert all((row.as_feasible, row.violation) == (2, 0) for row in rows)
    capsys.readouterr()
    assert main(["search", "mine.yaml", *options, "--name", "none", "--limits", "{time: 2}"]) == 0
    said = capsys.readouterr().out
    assert "No architecture of the table keeps the limits" in said
    assert "which miss them by 50.0%" in said  # the least time is 3
    rows = read_table(done / "checkpoints/none/architecture_search.csv", MethodRow)
    assert all(row.hypervolume_ratio is None for row in rows)
    assert all(row.violation == pytest.approx(0.5) for row in rows if row.as_feasible == 2)
    assert read_table(done / "checkpoints/none/curves.csv", CurveRow) == []
    assert (done / "figures/none/fronts.png").exists()
    assert not (done / "figures/none/architecture_search.png").exists()


def test_references_that_nothing_is_better_than(
    done: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """No limit is set: what is said must not be about limits."""
    monkeypatch.chdir(done)
    options = ["--tables", f"[{done}/table.csv]", "--methods", "[local_search]", "--costs", "[cost]"]
    assert main(["search", "mine.yaml", *options, "--name", "high", "--accuracy_reference", "99"]) == 0
    said = capsys.readouterr().out
    assert "cost local_search seed 0: nothing is better than the references, " in said
    assert "No architecture is better than the references: accuracy 99 and the largest cost." in said
    assert "the limits" not in said
    assert read_table(done / "checkpoints/high/curves.csv", CurveRow) == []


def test_figures(done: Path) -> None:
    for name in ("architecture_search", "fronts", "transfer"):
        with Image.open(done / f"figures/mine/{name}.png") as image:
            assert image.width == 1400
        assert (done / f"figures/mine/{name}.svg").exists()
    rows = read_table(done / "checkpoints/mine/curves.csv", CurveRow)
    assert len(rows) == 2 * len(METHODS) * 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "[annealing]"], "there is no search method 'annealing'; choose from random"),
        (["--seeds", "[]"], "seeds is []; give at least one"),
        (["--limits", "{energy: 3}"], "there is no column energy"),
        (["--limits", "{cost: .nan}"], "limits are finite numbers"),
        (["--devices", "[cost, cost]"], "devices is ['cost', 'cost']; give each once"),
        (["--devices", "[accuracy]"], "accuracy is the accuracy; it cannot be a cost as well"),
        (["--costs", "[energy]"], "there is no column energy"),
        (["--tables", "[nowhere.csv]"], "nowhere.csv cannot be read"),
        (["--root", "nowhere"], "The data root nowhere (from data.root) is not a folder"),
        (["--accuracy_reference", "100"], "accuracy_ideal must be larger"),
        (["--only_if", "{first: {last: ['1']}}"], "depends on 'last', which is no choice before it"),
        (["--only_if", "{third: {last: ['1']}}"], "only_if names third"),
        (["--choices", "{first: [none, small, large, huge], second: [none, small, large], last: ['1', '2', '4']}"],
         "have 27 of the 36 architectures"),
    ],
)  # fmt: skip
def test_mistakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, options: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IB_DATA_ROOT", raising=False)
    write_inputs()
    Path("data").mkdir()
    Path("table.csv").rename("data/table.csv")
    assert main(["search", "mine.yaml", *options]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["architecture-search", "architecture-search-monas"])
def test_shipped_files_are_configs(name: str) -> None:
    from ib_analysis.cli import parse_config

    path = Path(__file__).parents[2] / "experiments" / f"{name}.yaml"
    config = parse_config(ArchitectureSearchConfig, "search", "", [str(path)])
    assert config.name == name
    assert len(config.seeds) == 20


def test_costs_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,accuracy,cost\nx,60,0\ny,70,-1\n")
    config = ArchitectureSearchConfig(
        tables=(str(path),), choices={"a": ["x", "y"]}, accuracy="accuracy", costs=("cost",)
    )
    with pytest.raises(UserError, match="the cost cost must be at least 0"):
        problems(config)
