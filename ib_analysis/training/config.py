"""How encoders are trained: the config key ``training``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ib_analysis.artifacts import UserError

__all__ = ["TrainingConfig", "checkpoint_epochs", "learning_rate"]


@dataclass(frozen=True)
class TrainingConfig:
    """SGD with Nesterov momentum, linear warm-up and a cosine.

    Raises:
        UserError: a number is out of its range.
    """

    epochs: int = 200
    """Passes over the encoder images."""

    batch_size: int = 128
    """Images of a step at most, over all devices; an epoch is cut into batches of equal size (128 as in He et al.
    2016, arXiv 1512.03385). A batch of one image is refused where batch normalisation cannot train on it."""

    learning_rate: float = 0.1
    """Highest learning rate, reached after the warm-up (He et al. 2016)."""

    momentum: float = 0.9
    """Nesterov momentum (He et al. 2016)."""

    weight_decay: float = 1e-4
    """L2 penalty on parameters of more than one dimension, so not on biases and batch normalisation (value of He et
    al. 2016)."""

    warmup_epochs: float = 5.0
    """Epochs of linear warm-up, at most a fifth of the run; then a half cosine falls to 0 (Loshchilov & Hutter 2017,
    arXiv 1608.03983, without restarts)."""

    checkpoints: tuple[int, ...] = (0, 1, 2, 5, 10, 20, 50, 100, 150, 200)
    """Epochs after which the encoder is kept; 0 is the initialisation. Those beyond the run are left out, its last
    epoch is always kept."""

    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Arithmetic on a GPU; `auto` is mixed precision with bfloat16 where the GPU has it, else float16. Without a GPU
    it is always float32."""

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 2)):
            if getattr(self, name) < least:
                raise UserError(f"training.{name} is {getattr(self, name)}; it must be at least {least}.")
        if not self.learning_rate > 0:
            raise UserError(f"training.learning_rate is {self.learning_rate}; it must be greater than 0.")
        if not 0 < self.momentum < 1:
            raise UserError(f"training.momentum is {self.momentum}; it must lie between 0 and 1.")
        for name in ("weight_decay", "warmup_epochs"):
            if getattr(self, name) < 0:
                raise UserError(f"training.{name} is {getattr(self, name)}; it must not be negative.")
        if any(epoch < 0 for epoch in self.checkpoints):
            raise UserError(f"training.checkpoints is {list(self.checkpoints)}; epochs are counted from 0.")


def checkpoint_epochs(config: TrainingConfig) -> list[int]:
    """The epochs that are kept, in order.

    >>> checkpoint_epochs(TrainingConfig(epochs=12))
    [0, 1, 2, 5, 10, 12]
    """
    return sorted({epoch for epoch in config.checkpoints if epoch <= config.epochs} | {config.epochs})


def learning_rate(config: TrainingConfig, progress: float) -> float:
    """The learning rate at a point of the run.

    Arguments:
        progress: epochs done, with fractions.

    >>> config = TrainingConfig(epochs=100, learning_rate=0.1, warmup_epochs=5)
    >>> [round(learning_rate(config, epoch), 4) for epoch in (0, 2.5, 5, 52.5, 100)]
    [0.0, 0.05, 0.1, 0.05, 0.0]
    """
    warmup = min(config.warmup_epochs, config.epochs / 5)
    if progress < warmup:
        return config.learning_rate * progress / warmup
    share = (progress - warmup) / (config.epochs - warmup)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
