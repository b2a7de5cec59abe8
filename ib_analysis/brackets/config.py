"""What a user chooses about brackets: the config key ``brackets``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from decoders.config import Architecture
from decoders.fitting.schedule import FittingConfig
from ib_analysis.artifacts import UserError

__all__ = ["BracketsConfig"]


def _density() -> Architecture:
    return Architecture(blocks=1, filters=16, output="categorical", dropout=0.0, condition_filters=16)


def _fitting() -> FittingConfig:
    return FittingConfig(
        steps=1500,
        batch_size=64,
        learning_rate=3e-3,
        betas=(0.9, 0.99),
        warmup_steps=50,
        cooldown_share=0.35,
        averaging=0.99,
        gradient_clip=1.0,
        null_share=0.0,
        validate_every=250,
        validation_images=512,
        patience=2,
        save_every=250,
    )


@dataclass(frozen=True)
class BracketsConfig:
    """How the upper ends of brackets are made, for layers of quantized networks whose activations are codes.

    Raises:
        UserError: an epoch below 0, or a density model with a share of null conditions.
    """

    epochs: Literal["last", "all"] | tuple[int, ...] = "last"
    """Epochs of the encoders at which brackets are made: `last`, `all`, or some of the checkpoints; [] makes none."""
    density: Architecture = field(default_factory=_density)
    """Network of the autoregressive density model of a layer's codes; its output is always `categorical`."""
    fitting: FittingConfig = field(default_factory=_fitting)
    """Fit of that model, one per layer, epoch and run; a minibatch holds images of several planes."""

    def __post_init__(self) -> None:
        if isinstance(self.epochs, tuple) and any(epoch < 0 for epoch in self.epochs):
            raise UserError(f"brackets.epochs is {list(self.epochs)}; epochs are whole numbers from 0 on.")
        if self.density.output != "categorical":
            raise UserError(
                f"brackets.density.output is {self.density.output}; codes need not be smooth: use categorical."
            )
        if self.fitting.null_share:
            raise UserError(
                f"brackets.fitting.null_share is {self.fitting.null_share:g}; a density of codes has none: use 0."
            )
