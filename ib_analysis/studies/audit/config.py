"""What an audit compares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ib_analysis.artifacts import UserError

__all__ = ["AuditConfig", "Remedy"]

Remedy = Literal[
    "cell_adapters", "fine_tune", "half_learning_rate", "larger_trunk", "longer_cooldown", "no_cell_adapters"
]
"""An attempt at a better decoder of many cells; see `AuditConfig.remedies`."""


@dataclass(frozen=True)
class AuditConfig:
    """An audit of an experiment's shared decoders: dedicated decoders of sampled cells, remedies, hysteresis.

    Raises:
        UserError: a value is outside its range.
    """

    cells: int = 8
    """Cells that get decoders of their own: a sample of tasks and layers, with epochs spread from first to last."""
    multiples: tuple[int, ...] = (1, 5, 10)
    """Training images of a dedicated fit, in units of what the shared fit spends per cell."""
    seed: int = 0
    """Seed of the sample of cells."""
    learning_rate: float | None = None
    """Learning rate of the dedicated fits; null: the experiment's own."""
    remedies: tuple[Remedy, ...] = ()
    """Attempts at a better shared decoder that are fitted and compared. `no_cell_adapters` (or `cell_adapters` where
    the experiment has none), `larger_trunk`, `half_learning_rate` and `longer_cooldown` are shared fits of as many
    steps; `fine_tune` is the shared decoder, fitted for one unit more to each sampled cell."""
    fine_tune_rate: float = 0.3
    """Learning rate of fine-tunes as a share of the experiment's: what a fit has learned should survive its start."""
    hysteresis: str | None = None
    """A layer whose decoders are fine-tuned from epoch to epoch, forwards and backwards, to see whether the way
    matters; null: leave this out."""

    def __post_init__(self) -> None:
        if self.cells < 1:
            raise UserError(f"audit.cells is {self.cells}; it must be at least 1.")
        if not self.multiples or min(self.multiples) < 1 or len(set(self.multiples)) < len(self.multiples):
            raise UserError(
                f"audit.multiples is {list(self.multiples)}; give whole numbers from 1 on, each once: the cost of a "
                "dedicated fit in units of the shared fit's cost per cell."
            )
        if len(set(self.remedies)) < len(self.remedies):
            raise UserError(f"audit.remedies is {list(self.remedies)}; give each once.")
        if self.seed < 0:
            raise UserError(f"audit.seed is {self.seed}; seeds are whole numbers from 0 on.")
        if self.learning_rate is not None and self.learning_rate <= 0:
            raise UserError(f"audit.learning_rate is {self.learning_rate}; it must be above 0.")
        if self.fine_tune_rate <= 0:
            raise UserError(f"audit.fine_tune_rate is {self.fine_tune_rate}; it must be above 0.")
