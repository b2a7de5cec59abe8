"""The methods that are compared, by name, with the settings that the comparison uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ib_analysis.search.dpp_net import DppNet
from ib_analysis.search.local_search import ParetoLocalSearch
from ib_analysis.search.methods import Method
from ib_analysis.search.monas import Monas
from ib_analysis.search.nas_bench_201 import EDGES, NAS_BENCH_201
from ib_analysis.search.optuna_search import OptunaSearch
from ib_analysis.search.rewards import WEIGHTS
from ib_analysis.search.space import Space

__all__ = ["METHODS"]


def _dpp_net(space: Space, costs_known: bool) -> Method:
    if space != NAS_BENCH_201:
        return DppNet(costs_known=costs_known)
    # A layer is a node with its edges; an edge before its turn passes its input on.
    layers = [tuple(f"edge_{source}_{end}" for source, end in EDGES if end == node) for node in (1, 2, 3)]
    resting = {choice.name: "skip_connect" for choice in space.choices}
    return DppNet(tuple(layers), resting, costs_known=costs_known)


PUBLISHED = Monas("mixed", WEIGHTS)
"""MONAS with the papers' means alone."""

REFINED = replace(PUBLISHED, batch=5, redraws=2, warm_start=20, imitation_steps=3, imitated=5, local=1.0)
"""MONAS whose controller is warm-started from an archive and refines it."""

METHODS: dict[str, Callable[[Space], Method]] = {
    "random": lambda space: OptunaSearch("random"),
    "nsga2": lambda space: OptunaSearch("nsga2", population=20),
    "tpe": lambda space: OptunaSearch("tpe"),
    "local_search": lambda space: ParetoLocalSearch(initial=20),
    "monas": lambda space: PUBLISHED,
    "monas_large_batches": lambda space: replace(PUBLISHED, batch=20),
    "monas_imitation": lambda space: replace(REFINED, local=0.0),
    "monas_local": lambda space: replace(REFINED, imitation_steps=0),
    "monas_half_local": lambda space: replace(REFINED, local=0.5),
    "monas_annealed": lambda space: replace(REFINED, annealing=0.5),
    "monas_limits": lambda space: replace(REFINED, reward="limit_on_device"),
    "monas_refined": lambda space: REFINED,
    "dpp_net": lambda space: _dpp_net(space, costs_known=True),
    "dpp_net_costs_learned": lambda space: _dpp_net(space, costs_known=False),
}
"""Name -> the method for a space."""
