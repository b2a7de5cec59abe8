"""Run the methods, each with its budget; what each found is one small file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ib_analysis.artifacts import write_text
from ib_analysis.engines.choose import engine_for
from ib_analysis.engines.local import Progress, Unit
from ib_analysis.experiment import Experiment, ExperimentConfig
from ib_analysis.search.dpp_net import DppNet
from ib_analysis.search.evaluations import Evaluated, Evaluations
from ib_analysis.search.local_search import ParetoLocalSearch
from ib_analysis.search.methods import Method, search
from ib_analysis.search.monas import Monas
from ib_analysis.search.optuna_search import OptunaSearch
from ib_analysis.search.problem import Metrics, Problem
from ib_analysis.search.quality import hypervolume_of
from ib_analysis.search.rewards import WEIGHTS
from ib_analysis.search.rounds import RoundCorrelation, round_correlations
from ib_analysis.search.space import Architecture
from ib_analysis.studies.network_search.config import ERROR, NetworkSearchConfig
from ib_analysis.studies.network_search.evaluator import TrainingEvaluator, problem_of
from ib_analysis.studies.network_search.plan import NetworkSearch
from ib_analysis.studies.network_search.side_by_side import Ahead, run_side_by_side

__all__ = ["Found", "found_by", "run_searches"]


def _method(name: str, network_search: NetworkSearch) -> Method:
    settings = network_search.settings
    made: dict[str, Callable[[], Method]] = {
        "dpp_net": lambda: DppNet(network_search.kind.growth(settings), kept=settings.kept),
        "dpp_net_costs_learned": lambda: DppNet(
            network_search.kind.growth(settings), kept=settings.kept, costs_known=False
        ),
        "monas": lambda: _monas(settings),
        "monas_refined": lambda: replace(
            _monas(settings),
            redraws=2,
            warm_start=max(2, settings.budget // 4),
            imitation_steps=3,
            imitated=5,
            local=1.0,
        ),
        "tpe": lambda: OptunaSearch("tpe", at_once=settings.at_once),
        "nsga2": lambda: OptunaSearch("nsga2", at_once=settings.at_once),
        "random": lambda: OptunaSearch("random", at_once=settings.at_once),
        "local_search": lambda: ParetoLocalSearch(max(2, settings.budget // 4), settings.at_once),
    }
    return made[name]()


def _monas(settings: NetworkSearchConfig) -> Monas:
    """One controller for nine weights of error and one cost; the first objective of a problem is the error."""
    costs = [name for name in settings.objectives if name != ERROR]
    return Monas("mixed", WEIGHTS, batch=settings.kept, cost=1 + costs.index(settings.monas_cost or costs[0]))


@dataclass(frozen=True)
class Found:
    """What one method found.

    Arguments:
        method: its name.
        evaluated: in the order in which they were asked for.
        hypervolumes: after each of them, as a share of the box below the references.
        repeats: proposals that it had made before.
        rank_correlation: of DPP-Net's surrogate on networks that it had not seen, the mean over rounds.
        seconds: that the search took, trainings included, in the run that ended it; with `at_once` above 1, of its
            trainings alone.
        rounds: of DPP-Net, metric by metric.
    """

    method: str
    evaluated: list[Evaluated]
    hypervolumes: list[float]
    repeats: int
    rank_correlation: float | None
    seconds: float
    rounds: tuple[RoundCorrelation, ...] = ()


def run_searches(network_search: NetworkSearch) -> None:
    """Run each method whose file is missing; an interrupted one goes on where it was.

    The methods run side by side, each training one network after another; or by turns, all networks that they propose
    being trained side by side, where `at_once` is above 1.
    """
    settings = network_search.settings
    methods = [method for method in settings.methods if _read(network_search, method) is None]
    with engine_for(network_search.experiment, folder=network_search.folder) as engine:
        if settings.at_once == 1:
            config = network_search.experiment.config
            engine.run("search", [Unit(f"search/{method}", _run, (config, settings, method)) for method in methods])
        else:
            evaluator = TrainingEvaluator(network_search)
            run_side_by_side(
                network_search,
                methods,
                lambda name, ahead: _search(name, network_search, evaluator, ahead),
                engine,
            )


def found_by(network_search: NetworkSearch, problem: Problem, method: str) -> Found:
    """What a method found, from its file."""
    kept = _read(network_search, method)
    assert kept is not None
    evaluated = []
    for indices, metrics in zip(kept["architectures"], kept["metrics"], strict=True):
        evaluated.append(
            Evaluated(tuple(indices), metrics, problem.losses(metrics), problem.violation(metrics))
        )  # fmt: skip
    hypervolumes = [hypervolume_of(evaluated[: n + 1]) for n in range(len(evaluated))]
    rounds = tuple(round_correlations(kept["rounds"]))
    return Found(method, evaluated, hypervolumes, kept["repeats"], kept["rank_correlation"], kept["seconds"], rounds)


class _Telling(TrainingEvaluator):
    """Tells how many networks have been evaluated, rather than of epochs."""

    def __init__(self, network_search: NetworkSearch, budget: int, progress: Progress) -> None:
        super().__init__(network_search)
        self.done, self.budget, self.tell = 0, budget, progress

    def evaluate(self, architecture: Architecture) -> Metrics:
        metrics = super().evaluate(architecture)
        self.done += 1
        self.tell(self.done, self.budget, {ERROR: metrics[ERROR]})
        return metrics


def _run(config: ExperimentConfig, settings: NetworkSearchConfig, name: str, progress: Progress) -> None:
    network_search = NetworkSearch(Experiment(config), settings)
    _search(name, network_search, _Telling(network_search, settings.budget, progress))


def _search(name: str, network_search: NetworkSearch, evaluator: TrainingEvaluator, ahead: Ahead | None = None) -> None:
    """Run one method and write its file."""
    began, settings = time.perf_counter(), network_search.settings
    problem = problem_of(network_search, evaluator)
    journal = network_search.folder / "journals" / f"{name}_{network_search.identity}.jsonl"
    evaluations = Evaluations(problem, settings.budget, journal, ahead=ahead)
    found = search(_method(name, network_search), evaluations, settings.seed)
    seconds = time.perf_counter() - began
    if ahead is not None:  # trained elsewhere, beside the networks of other methods
        seconds = sum(
            evaluator.result(one.architecture, n)["seconds"] for one in found.found for n in settings.network_seeds
        )
    correlations = [note.get(f"rank_correlation {ERROR}", np.nan) for note in found.notes]
    correlations = [correlation for correlation in correlations if np.isfinite(correlation)]
    result = {
        "identity": _identity(network_search),
        "architectures": [list(one.architecture) for one in found.found],
        "metrics": [dict(one.metrics) for one in found.found],
        "repeats": found.repeats,
        "rank_correlation": float(np.mean(correlations)) if correlations else None,
        "rounds": [{key: value if np.isfinite(value) else None for key, value in note.items()} for note in found.notes],
        "seconds": seconds,
    }
    write_text(_path(network_search, name), json.dumps(result) + "\n")


def _identity(network_search: NetworkSearch) -> str:
    return f"{network_search.identity} {network_search.settings.budget}"


def _path(network_search: NetworkSearch, method: str) -> Path:
    return network_search.folder / "searches" / f"{method}.json"


def _read(network_search: NetworkSearch, method: str) -> dict[str, Any] | None:
    try:
        found = json.loads(_path(network_search, method).read_text())
        return found if found["identity"] == _identity(network_search) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, or not whole: it is run
