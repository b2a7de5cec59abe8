"""What a test of convergence fits for longer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ib_analysis.artifacts import UserError

__all__ = ["ConvergenceConfig"]


@dataclass(frozen=True)
class ConvergenceConfig:
    """Which decoders of an experiment are fitted again, for how much longer.

    Raises:
        UserError: a setting that cannot work.
    """

    factor: float = 4.0
    """Steps of the longer fits, as a multiple of the experiment's, with warm-up, cool-down, decay and validations in
    proportion; 1 makes the same fits again, to which nothing may be added."""
    tasks: tuple[str, ...] = ()
    """Tasks whose layers are fitted for longer; empty: that of the experiment's first run."""
    layers: tuple[str, ...] = ()
    """Layers whose cells are compared; empty: all that are measured."""
    number_format: str | None = None
    """Number format of the encoders; null: the experiment's first."""
    encoder_seed: int | None = None
    """Their seed; null: the experiment's first."""
    decoder_seed: int | None = None
    """Seed of the decoders, the longer ones' too; null: the experiment's first."""

    def __post_init__(self) -> None:
        if not 1 <= self.factor < math.inf:
            raise UserError(f"convergence.factor is {self.factor}; choose a number from 1 on, for instance 4.")
        for name in ("tasks", "layers"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise UserError(f"convergence.{name} is {list(values)}; give each once.")
