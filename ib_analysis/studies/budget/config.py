"""What a user chooses about budget curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ib_analysis.artifacts import UserError

__all__ = ["BudgetConfig"]


@dataclass(frozen=True)
class BudgetConfig:
    """Which budgets are fitted, for which encoder.

    Raises:
        UserError: a setting that cannot work.
    """

    task: str | None = None
    """Task of the encoder whose layers are measured; null: the experiment's first."""
    encoder_seed: int | None = None
    """Its seed; null: the experiment's first."""
    decoder_seed: int = 0
    """Seed of every decoder of the study."""
    step_factors: tuple[float, ...] = (0.125, 0.25, 0.5, 1.0, 2.0)
    """Steps of the fits, as multiples of the experiment's: each a fit of its own, with warm-up, cool-down and
    validations in proportion."""
    filter_factors: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Filters of the decoders, as multiples of the experiment's, at the experiment's steps; empty: only steps."""
    blocks: tuple[int, ...] = (1, 2)
    """Blocks of the decoders, each with each number of filters."""

    def __post_init__(self) -> None:
        for name in ("step_factors", "filter_factors"):
            _check(name, getattr(self, name), smallest=0.0)
        _check("blocks", self.blocks, smallest=0)
        if not self.step_factors and not self.filter_factors:
            raise UserError("budget.step_factors and budget.filter_factors are both empty; give at least one budget.")
        if self.filter_factors and not self.blocks:
            raise UserError("budget.blocks is empty; give at least one number of blocks, or no filter_factors either.")
        if self.decoder_seed < 0:
            raise UserError(f"budget.decoder_seed is {self.decoder_seed}; choose a whole number from 0 on.")


def _check(name: str, values: Sequence[float], smallest: float) -> None:
    if len(set(values)) != len(values) or any(value <= smallest for value in values):
        raise UserError(f"budget.{name} is {list(values)}; give numbers above {smallest:g}, each once.")
