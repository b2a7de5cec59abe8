"""What a user chooses about networks that classify and reconstruct: the config key ``joint``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from ib_analysis.artifacts import UserError
from ib_analysis.training.trade_off import TradeOff, Weighting

__all__ = ["JointConfig"]


@dataclass(frozen=True)
class JointConfig:
    """Trade-offs between classification and reconstruction, and how training keeps to them.

    Losses are in units of what a predictor gets that knows no image (see `ib_analysis.training.objectives.Joint`).

    Raises:
        UserError: a number is out of its range, or something is listed twice.
    """

    preferences: tuple[tuple[float, float], ...] = ((16.0, 1.0), (4.0, 1.0), (1.0, 1.0), (1.0, 4.0), (1.0, 16.0))
    """Of each, a network per encoder seed: [r_classification, r_autoencoding] asks for the Pareto point at which
    r_classification times the classification loss is r_autoencoding times the reconstruction loss (Mahapatra & Rajan,
    ICML 2020); the larger r, the smaller its loss. Only the ratio counts."""

    weightings: tuple[Weighting, ...] = ("exact",)
    """How preferences are pursued, each with networks of its own: `exact`, exact Pareto optimal search; `linear`, the
    sum of the losses with the preference as weights, for comparison."""

    reconstruction_limits: tuple[float, ...] = ()
    """Of each, a further network per encoder seed: the least classification loss with a reconstruction loss (training
    images, as a share of the pixels' variance) of at most so much."""

    average: float = 0.9
    """Share of the losses and of the gradients' inner products so far that is kept when those of a further batch come,
    from 0 to below 1: single batches are noisy, and noise looks like a loss that has left its ray."""

    tolerance: float = 1e-3
    """Of `exact`: non-uniformity (nats) of r times loss above which weights restore the ratio and below which both
    losses fall. At 1e-3 the two differ by about 9 %."""

    restoration: float = 1.5
    """Of limits: how fast a reconstruction loss above its limit is brought back, per unit of the learning rate. More
    keeps the limit sooner and leaves classification fewer steps (docs/joint.md, section 5)."""

    def __post_init__(self) -> None:
        if any(len(pair) != 2 or not all(0 < r < float("inf") for r in pair) for pair in self.preferences):
            raise UserError(
                f"joint.preferences is {[list(pair) for pair in self.preferences]}; give pairs of numbers above 0, "
                "[classification, autoencoding]."
            )
        if any(not 0 < limit < float("inf") for limit in self.reconstruction_limits):
            raise UserError(
                f"joint.reconstruction_limits is {list(self.reconstruction_limits)}; give numbers above 0, as shares "
                "of the pixels' variance."
            )
        if self.preferences and not (self.weightings and set(self.weightings) <= set(get_args(Weighting))):
            raise UserError(
                f"joint.weightings is {list(self.weightings)}; choose from {', '.join(get_args(Weighting))}."
            )
        self._check_names()
        if not 0 <= self.average < 1:
            raise UserError(f"joint.average is {self.average}; it must be at least 0 and below 1.")
        for name in ("tolerance", "restoration"):
            if not getattr(self, name) > 0:
                raise UserError(f"joint.{name} is {getattr(self, name)}; it must be greater than 0.")

    def _check_names(self) -> None:
        """Numbers are parts of names of runs, and equal ratios the same wish."""
        for number in [r for pair in self.preferences for r in pair] + list(self.reconstruction_limits):
            if float(f"{number:g}") != number or "e" in f"{number:g}":
                raise UserError(
                    f"joint has the number {number!r}; use numbers from 0.0001 to 999999 of at most six digits, which "
                    "name runs."
                )
        wishes = [(found.kind, found.preference or found.limit) for found in self.trade_offs]
        if len(set(wishes)) != len(wishes):
            raise UserError(
                "joint lists a weighting, a ratio of preferences ([2, 1] is [4, 2]) or a limit twice; give each once."
            )

    @property
    def trade_offs(self) -> tuple[TradeOff, ...]:
        """All of them, preferences in their order.

        >>> [found.name for found in JointConfig(preferences=((4, 1), (1, 1)), reconstruction_limits=(0.2,)).trade_offs]
        ['4-1', '1-1', 'limit-0.2']
        """
        wanted = [TradeOff(kind, pair) for kind in self.weightings for pair in self.preferences]
        return (*wanted, *(TradeOff("limit", (limit,)) for limit in self.reconstruction_limits))
