"""The final front: fixed before any test image is looked at, and an ordinary experiment for each of its networks."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import yaml

from ib_analysis.artifacts import Artifact, plain, write_text
from ib_analysis.data import image_space
from ib_analysis.encoders import tap_names
from ib_analysis.experiment import Experiment, ExperimentConfig
from ib_analysis.search.dpp_net import pareto_selection
from ib_analysis.search.evaluations import best
from ib_analysis.search.space import Architecture
from ib_analysis.studies.network_search.plan import NetworkSearch
from ib_analysis.studies.network_search.searching import Found

__all__ = ["Member", "check_front", "experiment_path", "final_front", "member_config", "write_experiments"]

Value = TypeVar("Value")

LAYERS = ("h1", "h2", "h3", "h4")
"""What is measured of a network where the experiment's file does not say it, as far as the network has it."""


@dataclass(frozen=True)
class Member:
    """A network of the final front.

    Arguments:
        name: of its experiment.
        architecture: of the space.
        found_by: methods that had trained it.
    """

    name: str
    architecture: Architecture
    found_by: tuple[str, ...]


def check_front(search: NetworkSearch) -> None:
    """Refuse to go on where test images may have been looked at for another front.

    Raises:
        UserError: a search of this name, with other settings, has fixed its front.
    """
    _artifact(search).check()


def final_front(search: NetworkSearch, found: Sequence[Found]) -> list[Member]:
    """What is not dominated on held-out images, of all methods together; at most `final` of them, far apart.

    Written to ``front.json`` at the first call, and read from there ever after: when test images have been looked at,
    nothing can be chosen any more.

    Raises:
        UserError: another search of this name has fixed its front: then test images are no longer unseen.
    """
    artifact = _artifact(search)
    if artifact.status() != "complete":
        artifact.begin()
        write_text(artifact.path, json.dumps(_chosen(search, found), indent=1) + "\n")
        artifact.finish()
    kept = json.loads(artifact.path.read_text())
    return [Member(one["name"], tuple(one["architecture"]), tuple(one["found_by"])) for one in kept]


def _artifact(search: NetworkSearch) -> Artifact:
    return Artifact(search.folder / "front.json", "network_search_front", search.recipe_of_search())


def _chosen(search: NetworkSearch, found: Sequence[Found]) -> list[dict[str, Any]]:
    everything = {one.architecture: one for of_method in found for one in of_method.evaluated}
    members = best(list(everything.values()))
    places = pareto_selection(
        np.stack([one.losses for one in members]), search.settings.final, np.random.default_rng(search.settings.seed)
    )
    order = sorted((members[place] for place in places), key=lambda one: (one.losses[1], one.losses[0]))
    return [
        {
            "name": f"{search.experiment.config.name}-front{number}",
            "architecture": list(one.architecture),
            "network": search.words(one.architecture),
            "found_by": [
                of.method for of in found if any(other.architecture == one.architecture for other in of.evaluated)
            ],
            "metrics": dict(one.metrics),
        }
        for number, one in enumerate(order, start=1)
    ]


# ---------------------------------------------------------------------------------------------- ordinary experiments


def member_config(search: NetworkSearch, member: Member) -> ExperimentConfig:
    """The ordinary experiment of a network: the search's own in all but the network, its seeds and its name."""
    config, own = search.experiment.config, search.network(member.architecture)
    space = image_space(config.data, recheck=False)
    taps = tap_names(
        own.encoder, "classification", tuple(space.image_shape), space.intensities, space.n_classes
    )  # fmt: skip
    layers = tuple(layer for layer in config.layers or LAYERS if layer in taps) or taps[-1:]
    return replace(
        own,
        name=member.name,
        layers=layers,
        encoder_seeds=search.settings.final_seeds,
        layer_steps=_of(layers, config.layer_steps),
        layer_dropout=_of(layers, config.layer_dropout),
        layer_own_blocks=_of(layers, config.layer_own_blocks),
    )


def _of(layers: Sequence[str], settings: Mapping[str, Value]) -> dict[str, Value]:
    """Settings of single layers, of these alone."""
    return {layer: setting for layer, setting in settings.items() if layer in layers}


def experiment_path(search: NetworkSearch, member: Member) -> Path:
    """Its file."""
    return search.folder / "experiments" / f"{member.name}.yaml"


def write_experiments(search: NetworkSearch, members: Sequence[Member]) -> None:
    """Write each network's experiment as a file for `ib`, with what differs from the defaults."""
    for member in members:
        config = member_config(search, member)
        Experiment(config)  # refuses what cannot work
        text = f"# {search.words(member.architecture)}: found by {' and '.join(member.found_by)} in `ib search`.\n"
        fields = _differing(config, ExperimentConfig())
        write_text(
            experiment_path(search, member), text + yaml.safe_dump(plain(fields), sort_keys=False, width=110)
        )  # fmt: skip


def _differing(value: Any, default: Any) -> dict[str, Any]:
    """Fields of a config dataclass that are not at their defaults, those within it likewise."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        own, usual = getattr(value, field.name), getattr(default, field.name)
        if own == usual:
            continue
        nested = dataclasses.is_dataclass(own) and dataclasses.is_dataclass(usual)
        found[field.name] = _differing(own, usual) if nested else own
    return found
