"""Which networks are trained, and where everything lies."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ib_analysis.artifacts import Artifact, UserError
from ib_analysis.experiment import Experiment, Run
from ib_analysis.quantization import BINARY
from ib_analysis.records.encoders import encoder_recipe
from ib_analysis.records.images import images_of
from ib_analysis.studies.two_step.config import TwoStepConfig
from ib_analysis.training import checkpoint_artifact

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

    @property
    def run(self) -> Run:
        """Task, format and seed, as the stages know them."""
        return Run("classification", BINARY, self.seed)


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
        """All networks."""
        both: tuple[Literal[1, 2], ...] = (1, 2)
        return [Arm(steps, seed) for seed in self.settings.seeds for steps in both]

    def experiment_of(self, arm: Arm) -> Experiment:
        """The experiment with one run of the arm, of which the last epoch alone is kept."""
        config = self.experiment.config
        return Experiment(
            dataclasses.replace(
                config,
                tasks=("classification",),
                number_formats=(BINARY,),
                encoder_seeds=(arm.seed,),
                layers=(),
                binary_training=dataclasses.replace(config.binary_training, steps=arm.steps, teacher="none"),
                training=dataclasses.replace(config.training, checkpoints=()),
            )
        )

    def encoder_folder(self, arm: Arm) -> Path:
        return self.folder / "encoders" / arm.key

    def recipe(self, arm: Arm) -> dict[str, Any]:
        """Everything chosen by the user that the weights depend on."""
        return encoder_recipe(self.experiment_of(arm), arm.run)

    def evaluation_artifact(self, arm: Arm) -> Artifact:
        """The record of correctness and loss of every image."""
        sha256 = images_of(self.experiment).sha256
        encoder = checkpoint_artifact(
            self.encoder_folder(arm),
            self.experiment.config.training.epochs,
            recipe=self.recipe(arm),
            data_sha256=sha256,
            seed=arm.seed,
        )
        path = self.folder / "evaluations" / f"{arm.key}.npz"
        inputs = {"encoder": encoder.identity, "data": sha256}
        return Artifact(path, "two_step_evaluation", self.recipe(arm), inputs, arm.seed, "evaluation")

    def table_artifact(self, name: str) -> Artifact:
        """The record of a table; with other settings it is made again, which costs nothing."""
        inputs = {arm.key: self.evaluation_artifact(arm).identity for arm in self.arms}
        inputs |= {name: str(value) for name, value in dataclasses.asdict(self.settings).items()}
        return Artifact(
            self.folder / name, "two_step_table", self.experiment.section("name"), inputs, algorithm="tables"
        )
