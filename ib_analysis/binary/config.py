"""What a user chooses about binary networks: the config keys ``encoder.binary`` and ``binary_training``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ib_analysis.artifacts import UserError

__all__ = ["BinaryNetworkConfig", "BinaryTrainingConfig"]


@dataclass(frozen=True)
class BinaryNetworkConfig:
    """What the architecture `binary` has beside depth, width, shortcut and bottleneck.

    Raises:
        UserError: a number is out of its range.
    """

    input_code: Literal["thermometer", "bit_planes"] = "thermometer"
    """Signs that a pixel becomes: `thermometer`, one per threshold that it reaches (FracBNN, arXiv 2012.12206);
    `bit_planes`, its binary digits."""

    input_levels: int = 32
    """Thresholds of the thermometer code per colour (FracBNN: 32); at most one less than a pixel has levels."""

    padding: Literal[-1, 1] = -1
    """Sign around the image: zeros would be a third value. -1 is what the thermometer code says of black."""

    code_units: int = 0
    """Units of a binary layer h4 between the last stage and the classifier, and of the code that an autoencoder with
    `bottleneck: h4` is decoded from; 0: there is none. A layer of at most 12 is counted (counted.csv)."""

    def __post_init__(self) -> None:
        if self.input_levels < 1:
            raise UserError(f"encoder.binary.input_levels is {self.input_levels}; a pixel needs at least 1 threshold.")
        if self.padding not in (-1, 1):
            raise UserError(f"encoder.binary.padding is {self.padding}; choose -1 or 1.")
        if self.code_units < 0:
            raise UserError(f"encoder.binary.code_units is {self.code_units}; choose 0 (none) or a number of units.")


@dataclass(frozen=True)
class BinaryTrainingConfig:
    """How runs of the number format `binary` are trained; epochs, batch size, warm-up and checkpoints are those of
    `training`, and count over the whole run.

    Two steps (Liu et al. 2020, ReActNet, arXiv 2003.03488): first signs for activations and real weights, then signs
    for both, from the weights of the first. Each step has Adam, warm-up and cosine of its own.

    Raises:
        UserError: a number is out of its range.
    """

    steps: Literal[1, 2] = 2
    """2: first activations, then weights as well; 1: both from the beginning (the ablation)."""

    first_share: float = 0.5
    """Share of the epochs that step 1 of 2 takes, rounded to whole epochs, each step at least one."""

    learning_rate: float = 1e-3
    """Highest learning rate of Adam (FracBNN: 1e-3), which binary weights need: a sign flips however small its
    gradients are."""

    weight_decay_real: float = 1e-5
    """L2 penalty on weights in step 1, while they are real (ReActNet)."""

    weight_decay_binary: float = 0.0
    """The same while they are signs: a weight that is drawn to 0 flips for no reason (ReActNet)."""

    teacher: Literal["none", "twin"] = "none"
    """`twin`: classifiers learn from the class probabilities of the trained float32 run of the same seed beside the
    labels; number_formats must have float32, which is then trained first."""

    teacher_share: float = 0.9
    """Share of the loss that is the Kullback-Leibler divergence from the teacher's probabilities (ReActNet: 1)."""

    temperature: float = 1.0
    """Temperature of both distributions in it (Hinton et al. 2015, arXiv 1503.02531)."""

    def __post_init__(self) -> None:
        if self.steps not in (1, 2):
            raise UserError(f"binary_training.steps is {self.steps}; choose 1 or 2.")
        for name in ("first_share", "teacher_share"):
            value = getattr(self, name)
            if not 0 < value <= 1 or (name == "first_share" and value == 1):
                raise UserError(f"binary_training.{name} is {value}; choose a share between 0 and 1.")
        for name in ("learning_rate", "temperature"):
            if not (getattr(self, name) > 0 and math.isfinite(getattr(self, name))):
                raise UserError(f"binary_training.{name} is {getattr(self, name)}; it must be greater than 0.")
        for name in ("weight_decay_real", "weight_decay_binary"):
            if getattr(self, name) < 0:
                raise UserError(f"binary_training.{name} is {getattr(self, name)}; it must not be negative.")
