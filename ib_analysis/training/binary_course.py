"""The course of a binary network's training: signs for activations first, then for weights too."""

from __future__ import annotations

from collections.abc import Callable

from ib_analysis.artifacts import UserError
from ib_analysis.binary import BinaryTrainingConfig, Phase
from ib_analysis.encoders import BinaryNetwork, TappedNetwork
from ib_analysis.training.config import TrainingConfig
from ib_analysis.training.course import Course, Step
from ib_analysis.training.distillation import Distillation

__all__ = ["binary_course", "first_phase"]


def first_phase(config: BinaryTrainingConfig) -> Phase:
    """How far a network is binary as training begins."""
    return Phase.SIGNS if config.steps == 2 else Phase.BINARY


def binary_course(
    config: BinaryTrainingConfig, training: TrainingConfig, distillation: Distillation | None = None
) -> Course:
    """The steps of a run of the number format `binary`; the epochs are those of `training` in all.

    Raises:
        UserError: there are fewer epochs than steps.

    >>> course = binary_course(BinaryTrainingConfig(), TrainingConfig(epochs=20))
    >>> [(step.epochs, step.optimiser, step.weight_decay) for step in course.steps]
    [(10, 'adam', 1e-05), (10, 'adam', 0.0)]
    """

    def step(epochs: int, weight_decay: float, begin: Callable[[TappedNetwork], object] | None = None) -> Step:
        return Step(epochs, "adam", config.learning_rate, weight_decay, begin, "binary_training.learning_rate")

    if config.steps == 1:
        return Course(training, (step(training.epochs, config.weight_decay_binary),), distillation)
    if training.epochs < 2:
        raise UserError(
            "training.epochs is 1, and a binary network is trained in two steps of an epoch at least; use more epochs, "
            "or --binary_training.steps 1."
        )
    first = min(max(1, round(config.first_share * training.epochs)), training.epochs - 1)
    second = step(training.epochs - first, config.weight_decay_binary, _binarise_weights)
    return Course(training, (step(first, config.weight_decay_real), second), distillation)


def _binarise_weights(network: TappedNetwork) -> None:
    assert isinstance(network, BinaryNetwork)
    network.set_phase(Phase.BINARY)
