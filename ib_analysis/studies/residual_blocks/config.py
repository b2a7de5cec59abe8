"""What a user chooses about the comparison of blocks."""

from __future__ import annotations

from dataclasses import dataclass

from ib_analysis.artifacts import UserError
from ib_analysis.encoders.equal_parameters import TOLERANCE

__all__ = ["ResidualBlocksConfig"]

_NAME = "residual-blocks"


@dataclass(frozen=True)
class ResidualBlocksConfig:
    """Classifiers of all four kinds of blocks, each with every seed.

    Raises:
        UserError: a setting that cannot work.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of every kind of block; equal seeds see the same images in the same order. With one, the spread of seeds is
    not known."""
    tolerance: float = TOLERANCE
    """How far the numbers of parameters may lie from that of the experiment's own network, as a share of it."""
    resamples: int = 2000
    """Bootstrap resamples of the evaluation images."""
    confidence: float = 0.95
    """Level of every interval and verdict, each for itself."""

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise UserError(
                f"{_NAME}.seeds is {list(self.seeds)}; give at least one whole number from 0 on, each once."
            )
        if not 0 <= self.tolerance < 1:
            raise UserError(f"{_NAME}.tolerance is {self.tolerance}; choose a share from 0 to below 1.")
        if not 0 < self.confidence < 1:
            raise UserError(f"{_NAME}.confidence is {self.confidence}; choose a level between 0 and 1.")
        if self.resamples < 2:
            raise UserError(f"{_NAME}.resamples is {self.resamples}; it must be at least 2.")
