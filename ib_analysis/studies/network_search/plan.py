"""One search: its space, its images, the experiment of each network, and where everything lies."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from ib_analysis.artifacts import UserError, plain, settings_of, sha256_of_plain
from ib_analysis.data import ImageData, image_digests
from ib_analysis.data.splits import not_among, validation_last
from ib_analysis.experiment import Experiment, ExperimentConfig, Run
from ib_analysis.experiment_config import without_layers
from ib_analysis.records.encoders import encoder_recipe
from ib_analysis.records.images import data_section, images_of
from ib_analysis.search.space import Architecture
from ib_analysis.studies.network_search.config import ENERGY, LATENCY, NetworkSearchConfig
from ib_analysis.studies.network_search.spaces import SPACES, in_words

__all__ = ["NetworkSearch", "held_out"]

_DECIDING = (
    "space", "objectives", "limits", "references", "methods", "budget", "seed", "epochs", "network_seeds",
    "validation_share", "kept", "at_once", "monas_cost", "final", "blocks", "depths", "widths", "binary_widths",
    "number_formats", "layers", "normalisations", "convolutions", "growths", "device", "latency_batch",
    "latency_threads",
)  # fmt: skip
"""Settings that decide what is found."""


LONGEST = 200
"""Letters of a network's name; files may have 255 in all."""


class NetworkSearch:
    """A search for one experiment.

    Arguments:
        experiment: whose images, training and remaining network settings are used.
        settings: what is searched, and how.

    """

    def __init__(self, experiment: Experiment, settings: NetworkSearchConfig) -> None:
        self.experiment, self.settings = experiment, settings
        self.folder = experiment.folder / "studies" / "search"
        self.kind = SPACES[settings.space]
        self.space = self.kind.space(settings)
        self._networks: dict[Architecture, ExperimentConfig] = {}

    @cached_property
    def data(self) -> ImageData:
        """The encoder images alone, divided: no test image is among them.

        Raises:
            UserError: the images have no labels.
        """
        return held_out(images_of(self.experiment), self.settings.validation_share)

    @property
    def measured(self) -> tuple[str, ...]:
        """Those of latency and energy that the search asks for."""
        asked = {*self.settings.objectives, *self.settings.limits}
        return tuple(name for name in (LATENCY, ENERGY) if name in asked)

    # ------------------------------------------------------------------ one network

    def words(self, architecture: Architecture) -> str:
        """Its choices, for people."""
        return in_words(self.space.values(architecture))

    def key(self, architecture: Architecture) -> str:
        """Its name among files; of many choices the first, and a hash of all.

        >>> from ib_analysis.experiment import ExperimentConfig
        >>> search = NetworkSearch(Experiment(ExperimentConfig()), NetworkSearchConfig())
        >>> search.key((0, 0, 1, -1, 0, 1, 1))
        'basic_8_16_float32_w8a8_w8a8'
        """
        name = "_".join(str(value) for value in self.space.values(architecture).values())
        if len(name) <= LONGEST:
            return name
        return f"{name[: LONGEST // 2]}_{sha256_of_plain(list(architecture))[:16]}"

    def network(self, architecture: Architecture) -> ExperimentConfig:
        """The experiment's config with this network, a classifier of one number format."""
        if architecture not in self._networks:
            config = self.experiment.config
            base = replace(
                without_layers(config),
                tasks=("classification",),
                encoder=replace(config.encoder, block="rir", form="four_convolutions", outer_shortcut=True),
                binary_training=replace(config.binary_training, teacher="none"),
            )
            self._networks[architecture] = self.kind.config(base, self.space.values(architecture))
        return self._networks[architecture]

    def searched(self, architecture: Architecture) -> Experiment:
        """The same as the search trains it: for `epochs`, of which the last one is kept."""
        config = self.network(architecture)
        epochs = self.settings.epochs or config.training.epochs
        training = replace(config.training, epochs=epochs, checkpoints=())
        return Experiment(replace(config, training=training, encoder_seeds=self.settings.network_seeds))

    def run(self, architecture: Architecture, seed: int) -> Run:
        """Task, format and seed of a network."""
        return Run("classification", self.network(architecture).number_formats[0], seed)

    def recipe(self, architecture: Architecture, seed: int) -> dict[str, Any]:
        """Everything chosen by the user that the weights of a network of the search depend on."""
        found = encoder_recipe(self.searched(architecture), self.run(architecture, seed))
        return {**found, "validation_share": self.settings.validation_share}

    # ------------------------------------------------------------------ the whole

    def recipe_of_search(self) -> dict[str, Any]:
        """Everything that decides what is found, for records."""
        sections = self.experiment.section("encoder", "training", "binary_training", "quantization")
        return {"search": settings_of(self.settings, *_DECIDING), **sections, "data": data_section(self.experiment)}

    @cached_property
    def identity(self) -> str:
        """Letters that two searches share only if networks are worth the same in both, however long they are."""
        recipe = plain(self.recipe_of_search())
        for name in ("budget", "methods", "final"):
            del recipe["search"][name]
        for name, absent in (("monas_cost", ""), ("at_once", 1)):
            if recipe["search"][name] == absent:
                del recipe["search"][name]  # searches from before there was the choice keep their letters
        return sha256_of_plain({**recipe, "images": images_of(self.experiment).sha256})[:12]


def held_out(data: ImageData, share: float) -> ImageData:
    """The encoder images divided into those that train and those that judge a search; decoders' images stay.

    The judging part has the same share of every class. No training image has the pixels of one of it.

    Arguments:
        data: of the experiment.
        share: of the judging part.

    Returns:
        The same data with the training part as its encoder split, the judging part as its evaluation split.

    Raises:
        UserError: the images have no labels, or are too few.
    """
    if not data.has_labels:
        raise UserError("a search trains classifiers, and these images have no labels.")
    if len(data.encoder) < 2:
        raise UserError("a search needs at least two encoder images, to train on and to hold out.")
    order, count = validation_last(data.encoder.labels, share)
    judging, digests = order[len(order) - count :], image_digests(data.encoder.images)
    training = not_among(order[: len(order) - count], judging, digests)
    if len(training) == 0:
        raise UserError("no encoder image differs from those that are held out; use more images.")
    return replace(data, encoder=data.encoder[np.sort(training)], evaluation=data.encoder[np.sort(judging)])
