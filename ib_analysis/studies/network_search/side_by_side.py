"""Networks that methods propose together, trained side by side: by all workers of this machine, or by many machines.

A method runs until it asks for networks that nobody has trained, and is left off there. When all methods have been
left off, the networks that they ask for are trained as units of one stage; then each method begins anew. As a search
that was killed would, it proposes what it had proposed, is answered from its journal and from the networks' files, and
comes to its next ones. So what is found does not depend on how many train.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from ib_analysis.artifacts import UserError
from ib_analysis.engines.choose import Engine
from ib_analysis.engines.local import Progress, Unit
from ib_analysis.experiment import Experiment, ExperimentConfig
from ib_analysis.search.space import Architecture
from ib_analysis.studies.network_search.config import NetworkSearchConfig
from ib_analysis.studies.network_search.evaluator import TrainingEvaluator
from ib_analysis.studies.network_search.plan import NetworkSearch

__all__ = ["Ahead", "run_side_by_side"]

PATIENCE = 60.0
"""Seconds to wait for the files of networks that another machine has trained."""

Ahead = Callable[[Sequence[Architecture]], None]


class _Untrained(Exception):
    """Networks that a method asks for, and that have to be trained first."""

    def __init__(self, architectures: Sequence[Architecture]) -> None:
        super().__init__(f"{len(architectures)} networks have to be trained.")
        self.architectures = architectures


def run_side_by_side(
    search: NetworkSearch, methods: Iterable[str], run: Callable[[str, Ahead], None], engine: Engine
) -> None:
    """Run methods until each is at its end.

    Arguments:
        methods: their names.
        run: runs one of them, which tells of networks ahead of asking for them (see `Evaluations`).
        engine: trains.

    Raises:
        UserError: what has been trained is not found: another machine of the engine does not see the same files.
    """
    evaluator = TrainingEvaluator(search)
    going = list(methods)
    while going:
        asked: dict[Architecture, None] = {}
        for method in list(going):
            try:
                run(method, lambda architectures: _refuse_untrained(evaluator, architectures))
                going.remove(method)
            except _Untrained as untrained:
                asked |= dict.fromkeys(untrained.architectures)
        units = [
            Unit(
                f"search/{search.key(architecture)}_seed{seed}",
                _train,
                (search.experiment.config, search.settings, architecture, seed),
            )
            for architecture in asked
            for seed in search.settings.network_seeds
            if not evaluator.is_trained(architecture, seed)
        ]
        engine.run("train", units)
        if asked and not _come_in(evaluator, asked):
            raise UserError(
                f"Networks of {search.folder} were trained elsewhere, and what came of it is not found here; all "
                "machines must see the same checkpoints, and have the same images under data.root."
            )


def _refuse_untrained(evaluator: TrainingEvaluator, architectures: Sequence[Architecture]) -> None:
    missing = [one for one in architectures if not _all_trained(evaluator, one)]
    if missing:
        raise _Untrained(missing)


def _come_in(evaluator: TrainingEvaluator, asked: Iterable[Architecture]) -> bool:
    """Whether something has been trained; a shared file system may need a moment to show it."""
    until = time.monotonic() + PATIENCE
    while not any(_all_trained(evaluator, architecture) for architecture in asked):
        if time.monotonic() > until:
            return False
        time.sleep(1.0)
    return True


def _all_trained(evaluator: TrainingEvaluator, architecture: Architecture) -> bool:
    return all(evaluator.is_trained(architecture, seed) for seed in evaluator.search.settings.network_seeds)


def _train(
    config: ExperimentConfig, settings: NetworkSearchConfig, architecture: Architecture, seed: int, progress: Progress
) -> None:
    TrainingEvaluator(NetworkSearch(Experiment(config), settings), progress).result(architecture, seed)
