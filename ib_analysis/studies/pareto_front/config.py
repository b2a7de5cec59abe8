"""What a user chooses about the study of a front."""

from __future__ import annotations

from dataclasses import dataclass

from ib_analysis.artifacts import UserError

__all__ = ["ParetoFrontConfig"]


@dataclass(frozen=True)
class ParetoFrontConfig:
    """When the networks are looked at; trade-offs, seeds and intervals are the experiment's own.

    Raises:
        UserError: an epoch before the first.
    """

    epoch: int | None = None
    """Epoch of the encoders; empty: the last."""

    def __post_init__(self) -> None:
        if self.epoch is not None and self.epoch < 0:
            raise UserError(f"pareto-front.epoch is {self.epoch}; epochs are counted from 0.")
