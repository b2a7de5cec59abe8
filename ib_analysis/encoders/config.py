"""What a user chooses about an encoder: the config key ``encoder``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ib_analysis.artifacts import UserError
from ib_analysis.binary import BinaryNetworkConfig

__all__ = ["EncoderConfig", "Task"]

Task = Literal["classification", "autoencoding"]


@dataclass(frozen=True)
class EncoderConfig:
    """The network whose layers are measured.

    Raises:
        UserError: the depth is not 6n+2, or a number is too small.

    >>> EncoderConfig(depth=20).blocks_per_stage
    3
    """

    architecture: Literal["resnet", "binary"] = "resnet"
    """Family of the network; `resnet` is the CIFAR ResNet of He et al. 2016 (arXiv 1512.03385, sec. 4.2), `binary` a
    fully binary CNN (number format `binary`) and its real-valued twin (number format `float32`)."""

    depth: int = 20
    """Number of weighted layers, 6n+2: three stages of n blocks of two convolutions, the stem and the
    classifier (20 is the smallest network of He et al. 2016, table 6)."""

    width: int = 16
    """Filters of the first stage; the second and third have two and four times as many (He et al.: 16)."""

    shortcut: Literal["A", "B"] = "A"
    """Shortcut where a stage begins: A subsamples and pads with zero channels and has no parameters (as
    He et al. do on CIFAR), B is a 1x1 convolution with batch normalisation. Of `binary`: A averages 2x2 pixels and
    repeats the channels, B is a 1x1 convolution of signs."""

    bottleneck: Literal["h3", "h4"] = "h3"
    """Tap from which the autoencoder's mirror starts: the last stage (h3), or its spatial mean (h4). Of
    `binary`, h4 is its code of `binary.code_units`."""

    binary: BinaryNetworkConfig = field(default_factory=BinaryNetworkConfig)
    """What the architecture `binary` has beside these."""

    def __post_init__(self) -> None:
        if self.depth < 8 or (self.depth - 2) % 6:
            raise UserError(f"encoder.depth is {self.depth}; a CIFAR ResNet needs 6n+2: 8, 14, 20, 26, 32, 44, 56, ...")
        if self.width < 1:
            raise UserError(f"encoder.width is {self.width}; it needs at least 1 filter.")

    @property
    def blocks_per_stage(self) -> int:
        """n in depth = 6n+2."""
        return (self.depth - 2) // 6
