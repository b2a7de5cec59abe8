"""Which networks are trained, and where everything lies."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import NamedTuple

from ib_analysis.artifacts import Artifact, UserError
from ib_analysis.data import image_space
from ib_analysis.encoders import EncoderConfig, equal_parameters, parameter_count
from ib_analysis.encoders.config import BLOCKS, Block
from ib_analysis.experiment import Experiment
from ib_analysis.studies.residual_blocks.config import ResidualBlocksConfig
from ib_analysis.studies.trained import StudyClassifier

__all__ = ["BLOCK_NAMES", "Member", "ResidualBlocks"]

BLOCK_NAMES: dict[Block, str] = {
    "plain": "plain CNN",
    "resnet": "ResNet",
    "resnet_init": "ResNet Init",
    "rir": "ResNet in ResNet",
}
"""What networks of each kind of block are called (Targ et al. 2016, arXiv 1603.08029)."""


class Member(NamedTuple):
    """One classifier of the comparison.

    >>> Member("plain", 0).key
    'plain_seed0'
    """

    block: Block
    seed: int

    @property
    def key(self) -> str:
        return f"{self.block}_seed{self.seed}"


class ResidualBlocks:
    """The comparison for one experiment.

    Arguments:
        experiment: whose data, training and size of network are used.
        settings: seeds and intervals.

    Raises:
        UserError: the experiment's network is of another architecture, or no widths make the others as large; the size
            of its images cannot be told because they are not there.
    """

    def __init__(self, experiment: Experiment, settings: ResidualBlocksConfig) -> None:
        architecture = experiment.config.encoder.architecture
        if architecture != "rir":
            raise UserError(
                f"residual-blocks compares the blocks of ResNet in ResNet, and encoder.architecture is {architecture}; "
                "choose --encoder.architecture rir."
            )
        self.experiment, self.settings = experiment, settings
        self.folder = experiment.folder / "studies" / "residual_blocks"
        self._space = image_space(experiment.config.data, recheck=False)
        self.encoders: dict[Block, EncoderConfig] = equal_parameters(
            experiment.config.encoder, self._space.image_shape, self._space.n_classes, settings.tolerance
        )
        """Block -> config of its network."""

    @cached_property
    def parameters(self) -> dict[Block, int]:
        """Block -> parameters of its network."""
        shape, n_classes = self._space.image_shape, self._space.n_classes
        return {block: parameter_count(config, shape, n_classes) for block, config in self.encoders.items()}

    @cached_property
    def networks(self) -> dict[Member, StudyClassifier]:
        """All networks, and where each lies."""
        members = [Member(block, seed) for block in BLOCKS for seed in self.settings.seeds]
        return {
            member: StudyClassifier.of(
                self.experiment.config, "residual_blocks", member.key, "float32", member.seed,
                encoder=self.encoders[member.block],
            )
            for member in members
        }  # fmt: skip

    def table_artifact(self, name: str) -> Artifact:
        """The record of a table; with other settings it is made again, which costs nothing."""
        inputs = {member.key: network.evaluation.identity for member, network in self.networks.items()}
        inputs |= {field: str(value) for field, value in dataclasses.asdict(self.settings).items()}
        return Artifact(
            self.folder / name, "residual_blocks_table", self.experiment.section("name"), inputs, algorithm="tables"
        )
