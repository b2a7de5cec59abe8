"""The space `dense`: DPP-Net's cells, layer by layer a normalisation and a convolution (arXiv 1806.08198)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from ib_analysis.encoders import CONVOLUTIONS, NORMALISATIONS
from ib_analysis.experiment import ExperimentConfig
from ib_analysis.search.space import Choice, Option, Space
from ib_analysis.studies.network_search.config import NetworkSearchConfig

__all__ = ["dense_config", "dense_growth", "dense_space", "largest_dense"]

Name = TypeVar("Name", bound=str)
NONE = "none"
"""The convolution of a layer that is not there: a cell that has not grown to its end."""


def dense_space(settings: NetworkSearchConfig) -> Space:
    """The first layer is always there; each other one may be left out, and with it those behind it.

    >>> space = dense_space(NetworkSearchConfig(space="dense", layers=2, growths=(8,)))
    >>> len(space)  # 3 x 6, and for each of them 1 + 3 x 6
    342
    """
    choices = [Choice("growth", settings.growths)]
    for k in range(1, settings.layers + 1):
        first = k == 1
        after = {f"convolution_{k - 1}": settings.convolutions} if k > 2 else {}
        choices += [
            Choice(f"convolution_{k}", settings.convolutions if first else (NONE, *settings.convolutions), after),
            Choice(
                f"normalisation_{k}",
                settings.normalisations,
                {} if first else {f"convolution_{k}": settings.convolutions},
            ),
        ]
    return Space(tuple(choices))


def dense_growth(settings: NetworkSearchConfig) -> tuple[tuple[str, ...], ...]:
    """Rounds of DPP-Net: one more layer in each; the channels that layers add are chosen with the first."""
    rounds = [(f"convolution_{k}", f"normalisation_{k}") for k in range(1, settings.layers + 1)]
    return (("growth", *rounds[0]), *rounds[1:])


def largest_dense(settings: NetworkSearchConfig) -> list[dict[str, Option]]:
    """Cells of equal layers, one for each convolution, with all layers and the largest growth."""
    found = []
    for name in settings.convolutions:
        values: dict[str, Option] = {"growth": max(settings.growths)}
        for k in range(1, settings.layers + 1):
            values |= {f"convolution_{k}": name, f"normalisation_{k}": settings.normalisations[0]}
        found.append(values)
    return found


def dense_config(config: ExperimentConfig, values: Mapping[str, Option]) -> ExperimentConfig:
    """The experiment with the network of these choices, in float32; stem, groups and cells are the experiment's own."""
    places = [k for k in range(1, len(values)) if values.get(f"convolution_{k}", NONE) != NONE]
    dense = replace(
        config.encoder.dense,
        normalisations=tuple(_known(values[f"normalisation_{k}"], NORMALISATIONS) for k in places),
        convolutions=tuple(_known(values[f"convolution_{k}"], CONVOLUTIONS) for k in places),
        growth=int(values["growth"]),
    )
    encoder = replace(config.encoder, architecture="dense", dense=dense, widths=())
    return replace(config, encoder=encoder, number_formats=("float32",))


def _known(option: Option, names: Sequence[Name]) -> Name:
    """An option as the name that it is."""
    return next(name for name in names if name == option)
