"""The course of a training run: steps one after the other, each with an optimiser and a schedule of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

from ib_analysis.encoders import TappedNetwork
from ib_analysis.training.config import TrainingConfig, learning_rate
from ib_analysis.training.distillation import Distillation
from ib_analysis.training.joint_config import JointConfig
from ib_analysis.training.optimizer import make_optimizer
from ib_analysis.training.trade_off import TradeOff

__all__ = ["Course", "Step", "ordinary_course"]


@dataclass(frozen=True)
class Step:
    """A part of a run.

    Arguments:
        epochs: how many it takes.
        optimiser: `sgd` with Nesterov momentum, or `adam` (Kingma & Ba 2015, arXiv 1412.6980).
        learning_rate: the highest, after the warm-up; then a cosine falls to 0 within the step.
        weight_decay: L2 penalty on parameters of more than one dimension.
        begin: what is done to the network before the step's first epoch, not before epoch 0 of a run: its network is
            built for the first step.
        setting: the config key of the learning rate, for whoever is told to lower it.
    """

    epochs: int
    optimiser: Literal["sgd", "adam"]
    learning_rate: float
    weight_decay: float
    begin: Callable[[TappedNetwork], object] | None = None
    setting: str = "training.learning_rate"


@dataclass(frozen=True)
class Course:
    """The steps of a run, whom the network learns from beside the labels, and what it is to give up for what.

    Arguments:
        config: warm-up, momentum and whatever else is common to the steps; its epochs are those of all steps.
        steps: in their order.
        distillation: None: there is no teacher.
        trade_off: of the task `joint`, which needs one.
        joint: how the trade-off is kept to.

    Raises:
        ValueError: the steps' epochs are not those of the run.
    """

    config: TrainingConfig
    steps: tuple[Step, ...]
    distillation: Distillation | None = None
    trade_off: TradeOff | None = None
    joint: JointConfig = field(default_factory=JointConfig)

    def __post_init__(self) -> None:
        if sum(step.epochs for step in self.steps) != self.config.epochs:
            raise ValueError(f"steps of {[step.epochs for step in self.steps]} epochs are not {self.config.epochs}")

    def step_of(self, epoch: int) -> int:
        """Which step an epoch's training belongs to; epochs are counted from 1, and 0 is before the first.

        >>> halves = (Step(2, "sgd", 0.1, 0.0), Step(2, "adam", 0.001, 0.0))
        >>> [Course(TrainingConfig(epochs=4), halves).step_of(epoch) for epoch in range(5)]
        [0, 0, 0, 1, 1]
        """
        ends = [sum(step.epochs for step in self.steps[: index + 1]) for index in range(len(self.steps))]
        return next(index for index, end in enumerate(ends) if epoch <= end)

    def learning_rate(self, progress: float) -> float:
        """The learning rate at a point of the run: epochs done, with fractions."""
        start = 0
        for step in self.steps:
            if progress <= start + step.epochs:
                own = dataclasses.replace(self.config, epochs=step.epochs, learning_rate=step.learning_rate)
                return learning_rate(own, progress - start)
            start += step.epochs
        return 0.0

    def optimizer(self, network: nn.Module, index: int) -> torch.optim.Optimizer:
        """A fresh optimiser for a step."""
        step = self.steps[index]
        return make_optimizer(network, step.optimiser, step.learning_rate, step.weight_decay, self.config.momentum)


def ordinary_course(
    config: TrainingConfig, trade_off: TradeOff | None = None, joint: JointConfig | None = None
) -> Course:
    """One step of SGD with Nesterov momentum, as the config says.

    Arguments:
        trade_off, joint: of the task `joint`.
    """
    step = Step(config.epochs, "sgd", config.learning_rate, config.weight_decay)
    return Course(config, (step,), trade_off=trade_off, joint=joint or JointConfig())
