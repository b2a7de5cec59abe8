"""The spaces by name: what may be chosen, and the experiment that a choice makes. A new one is a file and a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ib_analysis.experiment import ExperimentConfig
from ib_analysis.search.space import Option, Space
from ib_analysis.studies.network_search.config import NetworkSearchConfig
from ib_analysis.studies.network_search.dense_space import dense_config, dense_growth, dense_space, largest_dense
from ib_analysis.studies.network_search.resnet_space import (
    largest_resnets,
    resnet_config,
    resnet_growth,
    resnet_space,
)

__all__ = ["SPACES", "NetworkSpace", "in_words"]


@dataclass(frozen=True)
class NetworkSpace:
    """A space of networks.

    Arguments:
        space: the choices, from the settings.
        growth: in which rounds DPP-Net makes them.
        largest: choices whose networks bound the costs of the space.
        config: an experiment's config with the network of some choices.
    """

    space: Callable[[NetworkSearchConfig], Space]
    growth: Callable[[NetworkSearchConfig], tuple[tuple[str, ...], ...]]
    largest: Callable[[NetworkSearchConfig], list[dict[str, Option]]]
    config: Callable[[ExperimentConfig, Mapping[str, Option]], ExperimentConfig]


SPACES = {
    "resnet": NetworkSpace(resnet_space, resnet_growth, largest_resnets, resnet_config),
    "dense": NetworkSpace(dense_space, dense_growth, largest_dense, dense_config),
}


def in_words(values: Mapping[str, Option]) -> str:
    """
    >>> in_words({"block": "basic", "depth": 8})
    'block basic, depth 8'
    """
    return ", ".join(f"{name} {value}" for name, value in values.items())
