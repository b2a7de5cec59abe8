"""What a search method is, and what all of them share."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Protocol

import numpy as np

from ib_analysis.search.evaluations import Evaluations, SearchEnded
from ib_analysis.search.space import Architecture

__all__ = ["Method", "search", "unseen"]


class Method(Protocol):
    """Proposes architectures, one after another or several at once."""

    def run(self, evaluations: Evaluations, seed: int) -> None:
        """Ask `evaluations` for what seems promising, until it raises `SearchEnded`, or there is nothing to do.

        What is proposed must depend on the seed and on the answers alone: so a killed search goes on (`Evaluations`).
        """
        ...


def search(method: Method, evaluations: Evaluations, seed: int) -> Evaluations:
    """Run a method until its budget is used up, and return the evaluations."""
    with suppress(SearchEnded):
        method.run(evaluations, seed)
    return evaluations


def unseen(evaluations: Evaluations, rng: np.random.Generator, proposed: Collection[Architecture] = ()) -> Architecture:
    """A random architecture that has not been evaluated, and has not been proposed.

    Raises:
        SearchEnded: none turned up in many draws.
    """
    space = evaluations.problem.space
    for _ in range(evaluations.patience):
        architecture = space.random(rng)
        if architecture not in evaluations and architecture not in proposed:
            return architecture
    raise SearchEnded(f"{evaluations.patience} random architectures had all been evaluated before.")
