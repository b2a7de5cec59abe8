"""Which networks are trained, and where everything lies."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from ib_analysis.artifacts import Artifact
from ib_analysis.data import Space, image_space, split_sizes
from ib_analysis.encoders import TappedNetwork, layer_works
from ib_analysis.experiment import Experiment, Run
from ib_analysis.quantization import FormatCost, format_cost, number_format, plan
from ib_analysis.records.encoders import encoder_recipe, initial_encoder
from ib_analysis.records.images import images_of
from ib_analysis.studies.cost_quality.config import CostQualityConfig
from ib_analysis.training import checkpoint_artifact

__all__ = ["CostQuality", "Network"]


@dataclass(frozen=True)
class Network:
    """One classifier of the grid.

    >>> Network("w8a8", 14, 16, 0).key
    'depth14_width16_w8a8_seed0'
    """

    number_format: str
    depth: int
    width: int
    seed: int

    @property
    def key(self) -> str:
        return f"depth{self.depth}_width{self.width}_{self.number_format}_seed{self.seed}"

    @property
    def run(self) -> Run:
        """Task, format and seed, as the stages know them."""
        return Run("classification", self.number_format, self.seed)


class CostQuality:
    """The grid of one experiment.

    Arguments:
        experiment: whose data, training and remaining encoder settings are used.
        settings: the grid.
    """

    def __init__(self, experiment: Experiment, settings: CostQualityConfig) -> None:
        self.experiment, self.settings = experiment, settings
        self.folder = experiment.folder / "studies" / "cost_quality"

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(depth, width) of the grid points."""
        return list(product(self.settings.depths, self.settings.widths))

    @property
    def networks(self) -> list[Network]:
        """All networks, the costliest first, so that processes end together."""
        settings = self.settings
        found = [
            Network(name, depth, width, seed)
            for name in settings.number_formats
            for depth, width in self.sizes
            for seed in settings.seeds
        ]
        return sorted(found, key=lambda network: network.depth * network.width**2, reverse=True)

    # ------------------------------------------------------------------ one network

    def experiment_of(self, network: Network) -> Experiment:
        """The experiment with the network's depth and width, which keeps its last epoch alone."""
        config = self.experiment.config
        return Experiment(
            dataclasses.replace(
                config,
                tasks=("classification",),
                number_formats=(network.number_format,),
                encoder_seeds=(network.seed,),
                encoder=dataclasses.replace(config.encoder, depth=network.depth, width=network.width, widths=()),
                training=dataclasses.replace(config.training, checkpoints=()),
            )
        )

    def initial(self, network: Network) -> TappedNetwork:
        """The network at its initialisation; no image is loaded.

        Raises:
            UserError: its quantization would begin after the last training step, or names an unknown layer.
        """
        data = self.experiment.config.data
        space, sizes = image_space(data, recheck=False), split_sizes(data, recheck=False)
        return initial_encoder(self.experiment_of(network), network.run, space, sizes["encoder"])

    def cost(self, network: Network) -> tuple[int, FormatCost]:
        """Parameters, and the costs of one image and of the weights."""
        built, space = self.initial(network), Space(*image_space(self.experiment.config.data, recheck=False))
        works = layer_works(built, space.image_shape)
        overrides = self.experiment.config.quantization.overrides
        formats = plan(number_format(network.number_format), [work.name for work in works], overrides)
        return sum(tensor.numel() for tensor in built.parameters()), format_cost(works, formats)

    def encoder_folder(self, network: Network) -> Path:
        return self.folder / "encoders" / network.key

    def recipe(self, network: Network) -> dict[str, Any]:
        """Everything chosen by the user that the weights depend on."""
        return encoder_recipe(self.experiment_of(network), network.run)

    def encoder_artifact(self, network: Network) -> Artifact:
        """The record of the trained weights."""
        return checkpoint_artifact(
            self.encoder_folder(network),
            self.experiment.config.training.epochs,
            recipe=self.recipe(network),
            data_sha256=images_of(self.experiment).sha256,
            seed=network.seed,
        )

    def evaluation_artifact(self, network: Network) -> Artifact:
        """The record of correctness and loss of every image."""
        inputs = {"encoder": self.encoder_artifact(network).identity, "data": images_of(self.experiment).sha256}
        path = self.folder / "evaluations" / f"{network.key}.h5"
        return Artifact(path, "cost_quality_evaluation", self.recipe(network), inputs, network.seed, "evaluation")

    # ------------------------------------------------------------------ tables

    def table_artifact(self, name: str) -> Artifact:
        """The record of a table. The grid and its settings are inputs: with others it is made again, which costs
        nothing."""
        inputs = {network.key: self.evaluation_artifact(network).identity for network in self.networks}
        inputs |= {name: str(value) for name, value in dataclasses.asdict(self.settings).items()}
        return Artifact(
            self.folder / name, "cost_quality_table", self.experiment.section("name"), inputs, algorithm="tables"
        )
