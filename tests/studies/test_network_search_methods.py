"""Every method on the spaces of trained networks, with errors that are made up; means over seeds, and limits."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from test_network_search_parts import SMALL, make

from ib_analysis.artifacts import UserError
from ib_analysis.cli import main
from ib_analysis.information.table import read_table
from ib_analysis.search.dpp_net import DppNet
from ib_analysis.search.evaluations import Evaluations
from ib_analysis.search.methods import search
from ib_analysis.search.problem import Constraint, Metrics, Objective, Problem
from ib_analysis.search.space import Architecture
from ib_analysis.search.surrogate import RecurrentSurrogate
from ib_analysis.studies.network_search.config import METHODS
from ib_analysis.studies.network_search.evaluator import TrainingEvaluator
from ib_analysis.studies.network_search.front import _chosen
from ib_analysis.studies.network_search.rows import FrontRow, SearchedRow
from ib_analysis.studies.network_search.searching import Found, _method

OBJECTIVES = ("error", "macs", "parameters")


class MadeUp:
    """Errors and costs from an architecture's digits alone; counts who asks for costs before an evaluation."""

    metrics, device_metrics = OBJECTIVES, ("macs", "parameters")

    def __init__(self) -> None:
        self.asked = 0

    def device(self, architecture: Architecture) -> Metrics:
        self.asked += 1
        return self._costs(architecture)

    def evaluate(self, architecture: Architecture) -> Metrics:
        return {"error": zlib.crc32(bytes(k + 1 for k in architecture)) / 2**32, **self._costs(architecture)}

    def _costs(self, architecture: Architecture) -> dict[str, float]:
        size = float(sum(k + 1 for k in architecture))
        return {"macs": 2.0 + size, "parameters": 30.0 - size}


@pytest.mark.parametrize("space", ["resnet", "dense"])
@pytest.mark.parametrize("name", METHODS)
def test_every_method_searches_both_spaces(name: str, space: str) -> None:
    pytest.importorskip("optuna")
    settings = replace(SMALL, space=space, layers=2, objectives=OBJECTIVES, budget=7, kept=2)
    planned, evaluator = make(settings), MadeUp()
    objectives = tuple(Objective(metric, "minimize", 0.0, 30.0) for metric in OBJECTIVES)
    problem = Problem(planned.space, objectives, evaluator, (Constraint("macs", "at most", 1.0),))
    method = _method(name, planned)
    if isinstance(method, DppNet):
        method = replace(method, surrogate=lambda space, seed: RecurrentSurrogate(space, hidden=4, steps=2, seed=seed))
    evaluations = search(method, Evaluations(problem, settings.budget), 0)
    found = [one.architecture for one in evaluations.found]
    assert len(set(found)) == len(found) == 7
    assert (evaluator.asked > 0) == (name == "dpp_net")  # what costs before it is trained, no other method is told
    # Nothing keeps the limit: what misses it least is taken for the front.
    of = Found(name, evaluations.found, [0.0] * 7, 0, None, 0.0)
    least = min(one.violation for one in evaluations.found)
    taken = [tuple(one["architecture"]) for one in _chosen(planned, [of])]
    assert least > 0
    assert {one.violation for one in evaluations.found if one.architecture in taken} == {least}


def test_the_cost_in_the_reward_of_monas() -> None:
    settings = replace(SMALL, objectives=OBJECTIVES)
    assert [_method("monas", make(replace(settings, monas_cost=name))).cost for name in ("", *OBJECTIVES[1:])] == [
        1,
        1,
        2,
    ]
    with pytest.raises(UserError, match="monas_cost is 'error', which is no cost to search for: macs, parameters"):
        replace(settings, monas_cost="error")
    assert make(settings).identity != make(replace(settings, monas_cost="parameters")).identity


def test_an_error_is_the_mean_over_seeds_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = make(replace(SMALL, network_seeds=(3, 5)))
    monkeypatch.setattr(TrainingEvaluator, "result", lambda self, architecture, seed: {"error": 0.1 * seed})
    metrics = TrainingEvaluator(planned).evaluate(next(planned.space.architectures()))
    assert metrics["error"] == pytest.approx(0.4)
    assert metrics["macs"] > 0


DENSE = """
layers: [h3, h4]
data: {source: digits, per_class: 20, evaluation_per_class: 8}
encoder: {width: 4, dense: {groups: 2}}
training: {epochs: 2, batch_size: 16, checkpoints: []}
workers: 1
search:
  space: dense
  layers: 2
  growths: [4]
  normalisations: [bn, identity]
  convolutions: [1x1, 3x3_group, 1x1_learned_group]
  methods: [nsga2, random, local_search, monas_refined, dpp_net_costs_learned]
  objectives: [error, macs]
  limits: {parameters: 1}
  network_seeds: [0, 1]
  budget: 2
  kept: 1
  final: 2
  final_seeds: [0]
  resamples: 20
"""


@pytest.mark.slow
def test_dense_networks_with_a_limit_that_nothing_can_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Through the command line, by all methods that the other test of it leaves out."""
    pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    Path("wide.yaml").write_text(DENSE)
    assert main(["search", "wide.yaml"]) == 0
    assert "No network keeps all limits; those that miss them least are taken." in capsys.readouterr().out
    folder = Path("checkpoints/wide/studies/search")
    searched = read_table(folder / "searched.csv", SearchedRow)
    assert len(searched) == 5 * 2
    assert len(list((folder / "networks").glob("*.json"))) == 2 * len({row.network for row in searched})
    least = min(row.violation for row in searched)
    front = {row.network for row in read_table(folder / "network_front.csv", FrontRow)}
    assert least > 0
    assert {row.violation for row in searched if row.network in front} == {least}
