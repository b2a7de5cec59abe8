"""What a user chooses about yardsticks."""

from __future__ import annotations

from dataclasses import dataclass

from ib_analysis.artifacts import UserError

__all__ = ["YardsticksConfig"]


@dataclass(frozen=True)
class YardsticksConfig:
    """Intervals of the accuracies that are measured; published ones have none.

    Raises:
        UserError: a setting that cannot work.
    """

    resamples: int = 2000
    """Bootstrap resamples of the evaluation images."""
    confidence: float = 0.95
    """Level of intervals."""

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise UserError(f"yardsticks.confidence is {self.confidence}; choose a level between 0 and 1.")
        if self.resamples < 2:
            raise UserError(f"yardsticks.resamples is {self.resamples}; it must be at least 2.")
