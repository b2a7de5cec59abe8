"""What a user chooses about costs and quality of number formats."""

from __future__ import annotations

from dataclasses import dataclass

from ib_analysis.artifacts import UserError
from ib_analysis.quantization import number_format

__all__ = ["CostQualityConfig"]

_NAME = "cost-quality"


@dataclass(frozen=True)
class CostQualityConfig:
    """The grid of networks: every depth with every width, number format and seed.

    Raises:
        UserError: a setting that cannot work.
    """

    depths: tuple[int, ...] = (8, 14)
    """Depths of the classifiers, 6n+2 each."""
    widths: tuple[int, ...] = (8, 16)
    """Filters of their first stage."""
    number_formats: tuple[str, ...] = ("bfloat16", "w8a8", "w4a4_ends8")
    """Formats that are compared: bfloat16 or float32, and AQT integers such as w8a8, w4a4 and w4a4_ends8. bfloat16 is
    trained in float32 and costed at 16 bits, so that with both of them the same networks would be compared with
    themselves at twice the cost; that is refused."""
    seeds: tuple[int, ...] = (0, 1)
    """Seeds of every network. With one, the spread of seeds is not known, and no curve is said to dominate another."""
    resamples: int = 2000
    """Bootstrap resamples of the images."""
    confidence: float = 0.95
    """Level of intervals and verdicts."""

    def __post_init__(self) -> None:
        for name in ("depths", "widths", "number_formats", "seeds"):
            values = getattr(self, name)
            if not values or len(set(values)) != len(values):
                raise UserError(f"{_NAME}.{name} is {list(values)}; give at least one value, each once.")
        for name in self.number_formats:
            number_format(name)
        if {"float32", "bfloat16"} <= set(self.number_formats):
            raise UserError(
                f"{_NAME}.number_formats has both float32 and bfloat16, which are the same networks (bfloat16 is "
                "trained in float32 and costed at 16 bits); choose one of them."
            )
        if any(depth < 8 or (depth - 2) % 6 for depth in self.depths):
            raise UserError(f"{_NAME}.depths is {list(self.depths)}; a CIFAR ResNet needs 6n+2: 8, 14, 20, 26, ...")
        if min(self.widths) < 1:
            raise UserError(f"{_NAME}.widths is {list(self.widths)}; a network needs at least 1 filter.")
        if min(self.seeds) < 0:
            raise UserError(f"{_NAME}.seeds is {list(self.seeds)}; seeds are whole numbers from 0 on.")
        if not 0 < self.confidence < 1:
            raise UserError(f"{_NAME}.confidence is {self.confidence}; choose a level between 0 and 1.")
        if self.resamples < 2:
            raise UserError(f"{_NAME}.resamples is {self.resamples}; it must be at least 2.")
