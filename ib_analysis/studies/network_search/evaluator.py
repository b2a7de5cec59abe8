"""What finds out what a network is worth: it trains it, and counts or measures what it costs."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from ib_analysis.artifacts import plain, sha256_of_plain, write_text
from ib_analysis.engines.local import Progress
from ib_analysis.engines.locks import exclusive
from ib_analysis.search.problem import Constraint, Metrics, Objective, Problem
from ib_analysis.search.space import Architecture
from ib_analysis.studies.judge import judge
from ib_analysis.studies.network_search.config import ERROR, EXACT
from ib_analysis.studies.network_search.costs import exact_costs
from ib_analysis.studies.network_search.measured import measure
from ib_analysis.studies.network_search.plan import NetworkSearch
from ib_analysis.studies.trained import trained
from ib_analysis.training import TrainingDiverged

__all__ = ["TrainingEvaluator", "guessing", "problem_of"]

PATIENCE = 7 * 24 * 3600.0
"""Seconds to wait for another process that trains the very network that is asked for."""
ALGORITHM = 1
"""Raised when the same network and images would get another result."""


class TrainingEvaluator:
    """Trains networks with the ordinary training loop and judges them on held-out images.

    A training that was interrupted goes on from its last whole epoch. Each result is one small file,
    ``networks/<network>_seed0_<hash>.json``, after which the checkpoints are removed: another search of the same
    networks, by another method or in another process, reads it.

    Arguments:
        search: the networks and their images.
        progress: told of every epoch.
    """

    def __init__(self, search: NetworkSearch, progress: Progress | None = None) -> None:
        self.search, self.progress = search, progress or _silent
        self.device_metrics: tuple[str, ...] = (*EXACT, *search.measured)
        self.metrics: tuple[str, ...] = (ERROR, *self.device_metrics)
        self._costs: dict[Architecture, dict[str, float]] = {}

    def device(self, architecture: Architecture) -> Metrics:
        """All costs: counted, and measured with initial weights. Nothing is trained."""
        if architecture not in self._costs:
            config = self.search.network(architecture)
            found = exact_costs(config)
            if self.search.measured:
                folder = self.search.folder / "measured"
                file = measure(config, self.search.settings, self.search.measured, folder)
                found |= {name: float(file[name]) for name in self.search.measured}
            self._costs[architecture] = found
        return self._costs[architecture]

    def evaluate(self, architecture: Architecture) -> Metrics:
        """All metrics; the error is the mean over seeds of the share of held-out images that are classified wrongly."""
        seeds = self.search.settings.network_seeds
        errors = [float(self.result(architecture, seed)[ERROR]) for seed in seeds]
        return {ERROR: float(np.mean(errors)), **self.device(architecture)}

    def is_trained(self, architecture: Architecture, seed: int) -> bool:
        """Whether `result` would train nothing."""
        return self._kept(architecture, seed)[2] is not None

    def result(self, architecture: Architecture, seed: int) -> dict[str, Any]:
        """What training a network with one seed came to: its file's content."""
        path, identity, found = self._kept(architecture, seed)
        folder = path.with_suffix("")
        if found is None:
            with exclusive(folder.with_name(f".{folder.name}.lock"), f"{folder} (training)", PATIENCE):
                found = _read(path, identity)  # whoever was waited for may have made it
                if found is None:
                    found = {"identity": identity, **self._train(architecture, seed, folder)}
                    write_text(path, json.dumps(found) + "\n")
                    shutil.rmtree(folder, ignore_errors=True)
        return found

    def _kept(self, architecture: Architecture, seed: int) -> tuple[Path, str, dict[str, Any] | None]:
        """The file of a result, its identity, and its content if it is there and whole."""
        search = self.search
        recipe = plain(search.recipe(architecture, seed))
        identity = sha256_of_plain({"recipe": recipe, "seed": seed, "data": search.data.sha256, "algorithm": ALGORITHM})
        path = search.folder / "networks" / f"{search.key(architecture)}_seed{seed}_{identity[:8]}.json"
        return path, identity, _read(path, identity)

    def _train(self, architecture: Architecture, seed: int, folder: Path) -> dict[str, Any]:
        search, began = self.search, time.perf_counter()
        recipe = search.recipe(architecture, seed)
        experiment, run = search.searched(architecture), search.run(architecture, seed)
        diverged = False
        try:
            network = trained(experiment, run, seed, folder, recipe, self.progress, data=search.data)
            correct, loss_bits = judge(network, search.data.evaluation)
            error, loss = 1.0 - float(correct.mean()), float(loss_bits.mean())
        except TrainingDiverged:
            diverged, error, loss = True, guessing(search.data.evaluation.labels), None
        return {
            "network": search.words(architecture),
            "seed": seed,
            "epochs": experiment.config.training.epochs,
            ERROR: error,
            "loss_bits": loss,
            "diverged": diverged,
            "held_out_images": len(search.data.evaluation),
            "training_images": len(search.data.encoder),
            "seconds": time.perf_counter() - began,
        }


def guessing(labels: np.ndarray) -> float:
    """Error of whoever always says the commonest class: the worth of a network whose training diverged.

    >>> guessing(np.array([0, 1, 1, 2]))
    0.5
    """
    return 1.0 - float(np.bincount(labels).max() / len(labels))


def problem_of(search: NetworkSearch, evaluator: TrainingEvaluator) -> Problem:
    """The search problem: losses are 0 at no error and no cost, and 1 at the references."""
    settings = search.settings
    references = dict(settings.references)
    missing = [name for name in settings.objectives if name not in references]
    if ERROR in missing:
        references[ERROR] = guessing(search.data.evaluation.labels)
    if set(missing) - {ERROR}:
        largest = [search.space.architecture(values) for values in search.kind.largest(settings)]
        costs = [evaluator.device(architecture) for architecture in largest]
        references |= {name: max(found[name] for found in costs) for name in missing if name != ERROR}
    objectives = tuple(Objective(name, "minimize", 0.0, references[name]) for name in settings.objectives)
    limits = tuple(Constraint(name, "at most", limit) for name, limit in settings.limits.items())
    return Problem(search.space, objectives, evaluator, limits)


def _silent(done: int, total: int, figures: dict[str, float]) -> None:
    pass


def _read(path: Path, identity: str) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text())
        return found if found["identity"] == identity else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, or not whole: it is made
