"""Pareto local search: neighbours of what is not dominated (Paquete, Chiarandini & Stützle 2004)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ib_analysis.search.evaluations import Evaluations, SearchEnded
from ib_analysis.search.methods import unseen
from ib_analysis.search.space import Architecture

__all__ = ["ParetoLocalSearch"]


@dataclass(frozen=True)
class ParetoLocalSearch:
    """Random architectures, then one-choice changes of members of the front so far, none of them twice.

    The member is drawn uniformly from those that have neighbours not evaluated yet, then one of these; if no member has
    any, a random architecture is tried instead.

    Arguments:
        initial: random architectures at the beginning; at_once of them, if that is more.
        at_once: proposals before any of them is evaluated, all different.

    Raises:
        ValueError: at_once is below 1.
    """

    initial: int = 20
    at_once: int = field(default=1, repr=False)  # repr names searches that were made before it was there

    def __post_init__(self) -> None:
        if self.at_once < 1:
            raise ValueError(f"at_once is {self.at_once}; at least 1 is proposed.")

    def run(self, evaluations: Evaluations, seed: int) -> None:
        """See `Method`."""
        rng = np.random.default_rng(seed)
        while True:
            proposed: list[Architecture] = []
            try:
                for _ in range(self.at_once):  # beyond the budget too: a search that is made longer goes on alike
                    proposed.append(self._proposal(evaluations, rng, proposed))
            except SearchEnded:  # nothing new turns up any more
                if not proposed:
                    raise
            evaluations.evaluate_all(proposed)

    def _proposal(
        self, evaluations: Evaluations, rng: np.random.Generator, proposed: Sequence[Architecture]
    ) -> Architecture:
        if len(evaluations.found) + len(proposed) >= self.initial:
            members = [one.architecture for one in evaluations.front]
            for place in rng.permutation(len(members)):
                near = evaluations.problem.space.neighbours(members[place])
                near = [one for one in near if one not in evaluations and one not in proposed]
                if near:
                    return near[int(rng.integers(len(near)))]
        return unseen(evaluations, rng, proposed)
