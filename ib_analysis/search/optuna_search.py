"""Baselines by Optuna: random search, NSGA-II and multivariate TPE (the extra ``search``)."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ib_analysis.artifacts import UserError
from ib_analysis.search.evaluations import Evaluations, SearchEnded
from ib_analysis.search.space import ABSENT, Architecture, Space

if TYPE_CHECKING:
    import optuna

__all__ = ["OptunaSearch", "SamplerName"]

SamplerName = Literal["random", "nsga2", "tpe"]


@dataclass(frozen=True)
class OptunaSearch:
    """A multi-objective study of Optuna on the problem's losses, one trial after another.

    Where the evaluations have a journal, trials are kept beside it in a journal of Optuna (``<journal>.optuna``), and a
    search that was killed goes on with them. Each trial has a seed of its own, made from the search's seed and the
    number of trials before it, so that a search that goes on proposes what it would have proposed.

    Arguments:
        sampler: random, nsga2 (Deb et al. 2002), or tpe: the multivariate, multi-objective tree-structured Parzen
            estimator (Ozaki et al. 2022).
        population: of NSGA-II.

    Raises:
        ValueError: an unknown sampler, or a population below 2.
    """

    sampler: SamplerName
    population: int = 20

    def __post_init__(self) -> None:
        if self.sampler not in get_args(SamplerName):
            raise ValueError(f"there is no sampler {self.sampler!r}; choose from {', '.join(get_args(SamplerName))}.")
        if self.population < 2:
            raise ValueError(f"population is {self.population}; NSGA-II needs at least 2.")

    def run(self, evaluations: Evaluations, seed: int) -> None:
        """See `Method`.

        Raises:
            ImportError: Optuna is missing.
            UserError: Optuna's journal is damaged elsewhere than in its last line.
        """
        problem = evaluations.problem
        with _quiet_optuna() as optuna:
            study = optuna.create_study(
                storage=_storage(evaluations.journal),
                study_name=f"{self.sampler} {seed}",
                directions=["minimize"] * len(problem.objectives),
                load_if_exists=True,
            )
            done = self._go_on(study, evaluations)
            while evaluations.left:
                # The sampler's random state is not in the storage; whatever else it knows it reads from the trials.
                study.sampler = self._sampler(problem.space, seed, done)
                trial = study.ask()
                try:
                    found = evaluations.evaluate(_suggested(trial, problem.space))
                except SearchEnded:
                    study.tell(trial, state=optuna.trial.TrialState.FAIL)
                    raise
                if problem.constraints:
                    trial.set_constraint("violation", found.violation)
                study.tell(trial, found.losses.tolist())
                done += 1

    def _go_on(self, study: optuna.Study, evaluations: Evaluations) -> int:
        """Count again what was evaluated, and close what was begun when the search was killed; trials done."""
        import optuna

        done = 0
        for trial in study.get_trials(deepcopy=False):
            if trial.state == optuna.trial.TrialState.COMPLETE:
                evaluations.evaluate(_decided(trial.params, evaluations.problem.space))
                done += 1
            elif trial.state == optuna.trial.TrialState.RUNNING:
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        return done

    def _sampler(self, space: Space, seed: int, done: int) -> optuna.samplers.BaseSampler:
        from optuna import samplers

        own = int(np.random.SeedSequence([seed, done]).generate_state(1)[0])
        if self.sampler == "random":
            return samplers.RandomSampler(seed=own)
        if self.sampler == "nsga2":
            return samplers.NSGAIISampler(population_size=self.population, seed=own)
        conditional = any(choice.only_if for choice in space.choices)
        return samplers.TPESampler(multivariate=True, group=conditional, seed=own)


def _suggested(trial: optuna.Trial, space: Space) -> Architecture:
    decided: list[int] = []
    for place, choice in enumerate(space.choices):
        if space.is_there(place, decided):
            decided.append(int(trial.suggest_categorical(choice.name, range(len(choice.options)))))
        else:
            decided.append(ABSENT)
    return tuple(decided)


def _decided(params: dict[str, Any], space: Space) -> Architecture:
    return tuple(int(params.get(choice.name, ABSENT)) for choice in space.choices)


def _storage(journal: Path | None) -> optuna.storages.BaseStorage | None:
    if journal is None:
        return None
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    trials = journal.with_suffix(".optuna")
    _cut_off_half_line(trials, journal)
    return JournalStorage(JournalFileBackend(str(trials)))


def _cut_off_half_line(trials: Path, journal: Path) -> None:
    """A killed process may leave one at the end, to which Optuna would append, and which it could not read then."""
    if not trials.exists():
        return
    whole, _, half = trials.read_bytes().rpartition(b"\n")
    try:
        for line in whole.splitlines():
            json.loads(line)["op_code"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{trials} is damaged; move it away, and its trials are made again from {journal.name}, without a further "
            "evaluation."
        ) from error
    if half:
        with trials.open("r+b") as file:
            file.truncate(len(whole) + 1 if whole else 0)


@contextmanager
def _quiet_optuna() -> Iterator[Any]:
    """Optuna without a line per trial, and without its notes on what is experimental."""
    try:
        import optuna
    except ImportError as error:
        raise ImportError('Optuna is missing: pip install "ib-analysis[search]".') from error
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield optuna
    finally:
        optuna.logging.set_verbosity(before)
