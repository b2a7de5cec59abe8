"""Which networks are trained, and where everything lies."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from ib_analysis.artifacts import Artifact, UserError
from ib_analysis.experiment import Experiment
from ib_analysis.quantization import BINARY
from ib_analysis.studies.trained import StudyClassifier
from ib_analysis.studies.two_step.config import TwoStepConfig

__all__ = ["Arm", "TwoStep"]


@dataclass(frozen=True)
class Arm:
    """One classifier.

    >>> Arm(2, 0).key
    'steps2_seed0'
    """

    steps: Literal[1, 2]
    seed: int

    @property
    def key(self) -> str:
        return f"steps{self.steps}_seed{self.seed}"


class TwoStep:
    """The comparison for one experiment.

    Arguments:
        experiment: whose data, network and training are used; its teacher is not.
        settings: seeds and intervals.

    Raises:
        UserError: the experiment's network cannot be binary, or has too few epochs for two steps.
    """

    def __init__(self, experiment: Experiment, settings: TwoStepConfig) -> None:
        config = experiment.config
        if config.encoder.architecture != "binary":
            raise UserError(
                f"two-step trains binary networks, and encoder.architecture is {config.encoder.architecture}; choose "
                "--encoder.architecture binary."
            )
        if config.training.epochs < 2:
            raise UserError("two-step needs an epoch for each step, and training.epochs is 1; use more epochs.")
        self.experiment, self.settings = experiment, settings
        self.folder = experiment.folder / "studies" / "two_step"

    @property
    def arms(self) -> list[Arm]:
        """All networks by what is chosen about them."""
        both: tuple[Literal[1, 2], ...] = (1, 2)
        return [Arm(steps, seed) for seed in self.settings.seeds for steps in both]

    def network(self, arm: Arm) -> StudyClassifier:
        """One of them, and where it lies."""
        binary = dataclasses.replace(self.experiment.config.binary_training, steps=arm.steps, teacher="none")
        return StudyClassifier.of(self.experiment.config, "two_step", arm.key, BINARY, arm.seed, binary_training=binary)

    @property
    def networks(self) -> dict[Arm, StudyClassifier]:
        """All networks."""
        return {arm: self.network(arm) for arm in self.arms}

    def table_artifact(self, name: str) -> Artifact:
        """The record of a table; with other settings it is made again, which costs nothing."""
        inputs = {arm.key: network.evaluation.identity for arm, network in self.networks.items()}
        inputs |= {name: str(value) for name, value in dataclasses.asdict(self.settings).items()}
        return Artifact(
            self.folder / name, "two_step_table", self.experiment.section("name"), inputs, algorithm="tables"
        )
