"""Pareto local search: neighbours of what is not dominated (Paquete, Chiarandini & Stützle 2004)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ib_analysis.search.evaluations import Evaluations
from ib_analysis.search.methods import unseen

__all__ = ["ParetoLocalSearch"]


@dataclass(frozen=True)
class ParetoLocalSearch:
    """Random architectures, then one-choice changes of members of the front so far, none of them twice.

    The member is drawn uniformly from those that have neighbours not evaluated yet, then one of these; if no member has
    any, a random architecture is tried instead.

    Arguments:
        initial: random architectures at the beginning.
    """

    initial: int = 20

    def run(self, evaluations: Evaluations, seed: int) -> None:
        """See `Method`."""
        rng = np.random.default_rng(seed)
        space = evaluations.problem.space
        while True:
            new = None
            if len(evaluations.found) >= self.initial:
                members = [one.architecture for one in evaluations.front]
                for place in rng.permutation(len(members)):
                    near = [one for one in space.neighbours(members[place]) if one not in evaluations]
                    if near:
                        new = near[int(rng.integers(len(near)))]
                        break
            evaluations.evaluate(unseen(evaluations, rng) if new is None else new)
