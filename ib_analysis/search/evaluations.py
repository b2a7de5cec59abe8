"""What a search has evaluated: each architecture once, counted, kept in a file, with the front so far."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ib_analysis.artifacts import UserError, explained, sha256_of_plain
from ib_analysis.pareto.quality import non_dominated
from ib_analysis.search.problem import Metrics, Problem
from ib_analysis.search.space import Architecture

__all__ = ["Evaluated", "Evaluations", "SearchEnded", "best"]


class SearchEnded(Exception):
    """The budget of a search is used up, or it has nothing new to propose; its evaluations tell what was found."""


@dataclass(frozen=True)
class Evaluated:
    """One architecture and what it is worth.

    Arguments:
        architecture: of the problem's space.
        metrics: all that the evaluator gives.
        losses: shape (objectives,).
        violation: of the constraints, 0 where they are kept.
        repeated: whether this search had asked for it before: then nothing was evaluated.
    """

    architecture: Architecture
    metrics: Metrics
    losses: NDArray[np.float64] = field(compare=False)
    violation: float
    repeated: bool = False


class Evaluations:
    """Evaluates for a search, and remembers.

    An architecture that was asked for before is not evaluated again: it is answered from memory, marked `repeated`,
    and counted in `repeats`, not in the budget. With a journal, each evaluation is also a line of a file. A search
    that was killed and begins again with the same seed proposes the same architectures, and those of the file are
    answered from it: it goes on where it was, with the same result as if it had never stopped.

    Arguments:
        problem: what is asked.
        budget: distinct evaluations at most.
        journal: a file of JSON lines; made if it is not there.
        patience: after so many repeats in a row the search is ended, for it has nothing new to say.
        identity: of the evaluator: letters that two share only if they say the same of every architecture, such as
            `TableEvaluator.identity`. A journal that was begun with others, or with none, is refused.
        ahead: told of architectures that are about to be evaluated, before the first of them is: of all that a method
            proposes together those that are not known, nor in the journal, nor beyond the budget. Whoever evaluates
            them side by side may do so here, or raise, and let the method begin anew when they are there.

    Raises:
        UserError: the journal is of another problem, or of another evaluator, or damaged elsewhere than in its last
            line, which a killed process may leave half written.
        ValueError: the budget is below 1.
    """

    def __init__(
        self,
        problem: Problem,
        budget: int,
        journal: Path | None = None,
        patience: int = 2000,
        identity: str = "",
        ahead: Callable[[Sequence[Architecture]], None] | None = None,
    ) -> None:
        if budget < 1:
            raise ValueError(f"the budget is {budget}; a search needs at least 1 evaluation.")
        self.problem, self.budget, self.patience, self.ahead = problem, budget, patience, ahead
        self.found: list[Evaluated] = []
        """Distinct ones, in the order of their evaluation."""
        self.notes: list[dict[str, float]] = []
        """What a method wants to tell of its rounds."""
        self.repeats = 0
        """How often an architecture was asked for again."""
        self._known: dict[Architecture, Evaluated] = {}
        self._front: list[Evaluated] = []
        self._repeats_in_a_row = 0
        self.journal = journal
        self._kept = _read(journal, _header(problem, identity)) if journal is not None else {}

    def __contains__(self, architecture: Architecture) -> bool:
        return architecture in self._known

    def recall(self, architecture: Architecture) -> Evaluated:
        """What is known of an architecture that was evaluated, without asking for it again."""
        return self._known[architecture]

    @property
    def left(self) -> int:
        """Distinct evaluations that may still be made."""
        return self.budget - len(self.found)

    @property
    def front(self) -> list[Evaluated]:
        """What is not dominated: of the feasible, or else of the least infeasible (see `best`)."""
        return list(self._front)

    def evaluate(self, architecture: Architecture) -> Evaluated:
        """Metrics of an architecture, from memory if it was evaluated before.

        Raises:
            SearchEnded: it would be one more than the budget, or the last `patience` proposals were all repeats.
        """
        return self.evaluate_all([architecture])[0]

    def evaluate_all(self, architectures: Sequence[Architecture]) -> list[Evaluated]:
        """The same as evaluating one after the other, of architectures none of which waits for another's worth.

        Raises:
            SearchEnded: see `evaluate`; those before it are evaluated.
        """
        if self.ahead is not None:
            asked = [one for one in dict.fromkeys(architectures) if one not in self._known][: self.left]
            new = [one for one in asked if one not in self._kept]
            if new:
                self.ahead(new)
        return [self._evaluate(one) for one in architectures]

    def _evaluate(self, architecture: Architecture) -> Evaluated:
        if architecture in self._known:
            self.repeats += 1
            self._repeats_in_a_row += 1
            if self._repeats_in_a_row >= self.patience:
                raise SearchEnded(f"the last {self.patience} proposals had all been evaluated before.")
            one = self._known[architecture]
            return Evaluated(one.architecture, one.metrics, one.losses, one.violation, repeated=True)
        if not self.left:
            raise SearchEnded(f"all {self.budget} evaluations have been made.")
        metrics = self._kept.get(architecture)
        if metrics is None:
            metrics = {name: float(value) for name, value in self.problem.evaluator.evaluate(architecture).items()}
            self._keep(architecture, metrics)
        problem = self.problem
        one = Evaluated(architecture, metrics, problem.losses(metrics), problem.violation(metrics))
        self._known[architecture] = one
        self.found.append(one)
        self._front = best([*self._front, one])
        self._repeats_in_a_row = 0
        return one

    def _keep(self, architecture: Architecture, metrics: Metrics) -> None:
        if self.journal is not None:
            _append(self.journal, {"architecture": list(architecture), "metrics": metrics})


def best(found: Sequence[Evaluated]) -> list[Evaluated]:
    """The non-dominated ones among the feasible; if there are none, those with the least violation.

    Equal losses do not dominate each other: all that have them are kept.
    """
    if not found:
        return []
    least = min(one.violation for one in found)
    kept = [one for one in found if one.violation == least]
    return [kept[place] for place in non_dominated(np.stack([one.losses for one in kept])).tolist()]


# ---------------------------------------------------------------------------------------------- the journal


def _header(problem: Problem, identity: str) -> dict[str, str]:
    """What the lines of a journal are about: they are of use to any search of the same space, metrics and evaluator."""
    choices = [[choice.name, list(choice.options), {k: list(v) for k, v in choice.only_if.items()}]
               for choice in problem.space.choices]  # fmt: skip
    header = {"problem": sha256_of_plain({"choices": choices, "metrics": list(problem.evaluator.metrics)})}
    return {**header, "evaluator": identity} if identity else header


def _read(journal: Path, header: dict[str, str]) -> dict[Architecture, Metrics]:
    """What is in the file, which is made if there is none; a half-written last line is cut off."""
    try:
        whole, _, half = journal.read_text(encoding="utf-8").rpartition("\n")
    except FileNotFoundError:
        whole, half = "", ""
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{journal} cannot be read ({error}); move it away to begin anew.") from error
    lines = whole.splitlines()
    try:
        records = [json.loads(line) for line in lines]
        kept = {tuple(record["architecture"]): record["metrics"] for record in records[1:]}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{journal} is damaged; move it away to begin anew.") from error
    if records and records[0] != header:
        same_space = isinstance(records[0], dict) and records[0].get("problem") == header["problem"]
        of = "of another evaluator" if same_space else "of a search in another space, or with other metrics"
        raise UserError(f"{journal} is {of}; move it away, or choose another name.")
    if half:
        with journal.open("r+b") as file:
            file.truncate(len((whole + "\n").encode()) if lines else 0)
    if not records:
        _append(journal, header)
    return kept


def _append(journal: Path, record: object) -> None:
    """One more line, on the disk when this returns."""
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        with journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise explained(error, journal) from error
