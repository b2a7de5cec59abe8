"""Baselines by Optuna: random search, NSGA-II and multivariate TPE (the extra ``search``)."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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

_FOLLOWING = "following"
"""Attribute of a trial that was not asked for alone: how many were asked for after it, before it was answered."""


@dataclass(frozen=True)
class OptunaSearch:
    """A multi-objective study of Optuna on the problem's losses.

    Where the evaluations have a journal, trials are kept beside it in a journal of Optuna (``<journal>.optuna``), and a
    search that was killed goes on with them. Each trial has a seed of its own, made from the search's seed and the
    number of trials before it, so that a search that goes on proposes what it would have proposed.

    Arguments:
        sampler: random, nsga2 (Deb et al. 2002), or tpe: the multivariate, multi-objective tree-structured Parzen
            estimator (Ozaki et al. 2022).
        population: of NSGA-II.
        at_once: trials that are asked for before any of them is evaluated; TPE then takes those that are under way for
            bad ones (the constant liar of Ginsbourger, Le Riche & Carraro 2010), so as not to propose their like.

    Raises:
        ValueError: an unknown sampler, a population below 2, or at_once below 1.
    """

    sampler: SamplerName
    population: int = 20
    at_once: int = field(default=1, repr=False)  # repr names searches that were made before it was there

    def __post_init__(self) -> None:
        if self.sampler not in get_args(SamplerName):
            raise ValueError(f"there is no sampler {self.sampler!r}; choose from {', '.join(get_args(SamplerName))}.")
        if self.population < 2:
            raise ValueError(f"population is {self.population}; NSGA-II needs at least 2.")
        if self.at_once < 1:
            raise ValueError(f"at_once is {self.at_once}; at least 1 trial is asked for.")

    def run(self, evaluations: Evaluations, seed: int) -> None:
        """See `Method`.

        Raises:
            ImportError: Optuna is missing.
            UserError: Optuna's journal is damaged elsewhere than in its last line.
        """
        problem = evaluations.problem
        with _quiet_optuna() as optuna:
            storage, name = _storage(evaluations.journal), f"{self.sampler} {seed}"
            directions = ["minimize"] * len(problem.objectives)
            study = optuna.create_study(storage=storage, study_name=name, directions=directions, load_if_exists=True)
            if _ends_within_a_batch(study):  # the rest would be asked for with more in view: all is made again
                optuna.delete_study(study_name=name, storage=storage)
                study = optuna.create_study(storage=storage, study_name=name, directions=directions)
            done = self._go_on(study, evaluations)
            while evaluations.left:
                trials, asked = [], []
                for k in range(self.at_once):  # beyond the budget too: a search that is made longer goes on alike
                    # The sampler's random state is not in the storage; what else it knows it reads from the trials.
                    study.sampler = self._sampler(problem.space, seed, done + k)
                    trials.append(study.ask())
                    if self.at_once > 1:
                        trials[-1].set_user_attr(_FOLLOWING, self.at_once - 1 - k)
                    asked.append(_suggested(trials[-1], problem.space))
                try:
                    found = evaluations.evaluate_all(asked)
                except SearchEnded:
                    for trial in trials:
                        study.tell(trial, state=optuna.trial.TrialState.FAIL)
                    raise
                for trial, one in zip(trials, found, strict=True):
                    if problem.constraints:
                        trial.set_constraint("violation", one.violation)
                    study.tell(trial, one.losses.tolist())
                done += len(trials)

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
            return _nsga2(self.population, own)
        conditional = any(choice.only_if for choice in space.choices)
        return samplers.TPESampler(multivariate=True, group=conditional, seed=own)  # its constant liar is on


def _ends_within_a_batch(study: optuna.Study) -> bool:
    """Whether it was interrupted while trials that had been asked for together were told their worth."""
    from optuna.trial import TrialState

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return bool(complete) and complete[-1].user_attrs.get(_FOLLOWING, 0) > 0


def _nsga2(population: int, seed: int) -> optuna.samplers.NSGAIISampler:
    """NSGA-II whose proposals depend on what is complete alone.

    Optuna's gives the parents of a generation in one order when they are chosen, and in another when they are read from
    the storage; so whoever is interrupted at the first trial of a generation would go on with other proposals.
    """
    from optuna import samplers
    from optuna.trial import FrozenTrial, TrialState

    class NSGAIISampler(samplers.NSGAIISampler):  # what Optuna keeps of a trial's generation has the class's name
        def get_parent_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
            kept = super().get_parent_population(study, generation)
            complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if generation == 0 or any(self.get_trial_generation(study, trial) == generation for trial in complete):
                return kept
            return self.select_parent(study, generation)

    return NSGAIISampler(population_size=population, seed=seed)


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
