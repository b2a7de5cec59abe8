"""What a user chooses about the comparison of training in one and two steps."""

from __future__ import annotations

from dataclasses import dataclass

from ib_analysis.artifacts import UserError

__all__ = ["TwoStepConfig"]

_NAME = "two-step"


@dataclass(frozen=True)
class TwoStepConfig:
    """Binary classifiers that are trained both ways, for the same epochs in all.

    Raises:
        UserError: a setting that cannot work.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds, each trained both ways from the same weights. With one, the spread of seeds is not known."""
    resamples: int = 2000
    """Bootstrap resamples of the evaluation images."""
    confidence: float = 0.95
    """Level of intervals and of the verdict."""

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise UserError(
                f"{_NAME}.seeds is {list(self.seeds)}; give at least one whole number from 0 on, each once."
            )
        if not 0 < self.confidence < 1:
            raise UserError(f"{_NAME}.confidence is {self.confidence}; choose a level between 0 and 1.")
        if self.resamples < 2:
            raise UserError(f"{_NAME}.resamples is {self.resamples}; it must be at least 2.")
