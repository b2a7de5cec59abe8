"""What a user chooses about quantization beside the formats' names: the config key ``quantization``."""

from __future__ import annotations

from dataclasses import dataclass, field

from ib_analysis.quantization.formats import number_format
from ib_analysis.quantization.layers import Granularity

__all__ = ["QuantizationConfig"]


@dataclass(frozen=True)
class QuantizationConfig:
    """How the quantized ones among `number_formats` are made.

    Raises:
        UserError: an override to a format that does not exist.
    """

    overrides: dict[str, str] = field(default_factory=dict)
    """Path of a convolution or dense layer -> number format of its own, for instance {"head": "w8a8"};
    float32 and bfloat16 networks stay as they are."""
    granularity: Granularity = "channel"
    """Bounds of activations: `channel` as in AQT; `channel_folded` (their scales are multiplied into the weights before
    these are quantized) and `tensor` (one bound per layer) can be exported to integer arithmetic."""

    def __post_init__(self) -> None:
        for name in self.overrides.values():
            number_format(name)
