"""The methods that are compared, by name, with the settings that the comparison uses."""

from __future__ import annotations

from collections.abc import Callable

from ib_analysis.search.dpp_net import DppNet
from ib_analysis.search.local_search import ParetoLocalSearch
from ib_analysis.search.methods import Method
from ib_analysis.search.monas import Monas
from ib_analysis.search.nas_bench_201 import EDGES, NAS_BENCH_201
from ib_analysis.search.optuna_search import OptunaSearch
from ib_analysis.search.space import Space

__all__ = ["METHODS"]

WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Weights of the accuracy in MONAS' mixed reward, that one controller is trained for in turn."""


def _dpp_net(space: Space) -> Method:
    if space != NAS_BENCH_201:
        return DppNet()
    # A layer is a node with its edges; an edge before its turn passes its input on.
    layers = [tuple(f"edge_{source}_{end}" for source, end in EDGES if end == node) for node in (1, 2, 3)]
    return DppNet(tuple(layers), {choice.name: "skip_connect" for choice in space.choices})


METHODS: dict[str, Callable[[Space], Method]] = {
    "random": lambda space: OptunaSearch("random"),
    "nsga2": lambda space: OptunaSearch("nsga2", population=20),
    "tpe": lambda space: OptunaSearch("tpe"),
    "local_search": lambda space: ParetoLocalSearch(initial=20),
    "monas": lambda space: Monas("mixed", WEIGHTS),
    "monas_refined": lambda space: Monas("mixed", WEIGHTS, imitation_steps=5, redraws=2, refine=True),
    "dpp_net": _dpp_net,
}
"""Name -> the method for a space."""
