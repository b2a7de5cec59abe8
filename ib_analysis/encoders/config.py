"""What a user chooses about an encoder: the config key ``encoder``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ib_analysis.artifacts import UserError
from ib_analysis.binary import BinaryNetworkConfig
from ib_analysis.encoders.dense_config import DenseNetworkConfig

__all__ = ["BLOCKS", "Block", "EncoderConfig", "Form", "Shortcut", "Task"]

Task = Literal["classification", "autoencoding", "joint"]
"""What a network is trained for; `joint`: both of the others at once, with one trunk."""
Block = Literal["plain", "resnet", "resnet_init", "rir"]
BLOCKS: tuple[Block, ...] = ("plain", "resnet", "resnet_init", "rir")
"""The kinds of blocks that Targ et al. compare."""
Form = Literal["four_convolutions", "one_convolution"]
"""How a layer of two streams is computed."""
Shortcut = Literal["A", "B"]
"""What stands where the shape changes, by the letters of He et al."""
_LETTERS = {"identity": "A", "projection": "B"}
_OF_TWO_STREAMS = ("resnet_init", "rir")


@dataclass(frozen=True)
class EncoderConfig:
    """The network whose layers are measured.

    Raises:
        UserError: a depth that the architecture does not have, a number that is too small, widths that cannot be split
            over two streams, or choices that do not go together.

    >>> EncoderConfig(depth=20).blocks_per_stage
    3
    >>> EncoderConfig("rir", depth=18, width=96).stage_blocks
    (2, 3, 3)
    """

    architecture: Literal["resnet", "rir", "binary", "dense"] = "resnet"
    """Family of the network: `resnet` is the CIFAR ResNet of He et al. 2016 (arXiv 1512.03385, sec. 4.2); `rir` are
    ResNet in ResNet and the networks that it is compared with (Targ et al. 2016, arXiv 1603.08029), see `block`;
    `binary` is a fully binary CNN (number format `binary`) and its real-valued twin (number format `float32`); `dense`
    has cells of chosen operations, densely connected (DPP-Net, arXiv 1806.08198), and is a classifier only."""

    depth: int = 20
    """Number of weighted layers: three stages of blocks of two convolutions each, the stem and the classifier. Of
    `resnet` 6n+2, n blocks in each stage (20 is the smallest network of He et al. 2016, table 6). Of `rir` any even
    number from 8 on; blocks that three stages cannot share equally go to the later ones (18 has 2, 3 and 3). Not of
    `dense`, whose cells say how deep it is."""

    width: int = 16
    """Filters of the first stage; the second and third have two and four times as many (He et al.: 16). Two streams
    have half of them each, so that equal widths are networks of about equal size (wide RiR of Targ et al.: 96)."""

    widths: tuple[int, ...] = ()
    """Filters of each of the three stages, in the place of `width` and its multiples; empty: those. Not of `binary`
    and `dense`."""

    shortcut: Literal["A", "B", "identity", "projection"] = "A"
    """Shortcut where the shape changes: A (or `identity`) subsamples and pads with zero channels and has no parameters
    (as He et al. do on CIFAR), B (or `projection`) is a 1x1 convolution with batch normalisation. Of `binary`: A
    averages 2x2 pixels and repeats the channels, B is a 1x1 convolution of signs."""

    bottleneck: Literal["h3", "h4"] = "h3"
    """Tap from which the autoencoder's mirror starts: the last stage (h3), or its spatial mean (h4). Of
    `binary`, h4 is its code of `binary.code_units`."""

    binary: BinaryNetworkConfig = field(default_factory=BinaryNetworkConfig)
    """What the architecture `binary` has beside these."""

    dense: DenseNetworkConfig = field(default_factory=DenseNetworkConfig)
    """What the architecture `dense` has beside `width`, the filters of its stem."""

    block: Block = "rir"
    """Of `rir`, what its blocks of two layers are: `plain` (a CNN without shortcuts), `resnet` (a shortcut around the
    two), `resnet_init` (two streams, a shortcut around each layer in the residual one), `rir` (two such layers with an
    outer shortcut around both)."""

    form: Form = "four_convolutions"
    """Of blocks of two streams: a convolution from each stream to each, or one convolution of both whose weights start
    with a partial identity added, which L2 leaves alone. Both compute the same; the second makes fewer calls (small
    networks train twice as fast on a CPU, wide ones as fast), and cannot be quantized or have projections."""

    outer_shortcut: bool = True
    """Of the block `rir`: the shortcut around its two layers, for both streams. Two published ports leave it out, which
    makes the network that `resnet_init` is."""

    def __post_init__(self) -> None:
        # One spelling in records, so that both names of a shortcut are the same network.
        object.__setattr__(self, "shortcut", _LETTERS.get(self.shortcut, self.shortcut))
        if self.architecture != "rir" and (self.depth < 8 or (self.depth - 2) % 6):
            raise UserError(f"encoder.depth is {self.depth}; a CIFAR ResNet needs 6n+2: 8, 14, 20, 26, 32, 44, 56, ...")
        if self.depth < 8 or self.depth % 2:
            raise UserError(
                f"encoder.depth is {self.depth}; the architecture {self.architecture} needs an even number from 8 on."
            )
        if self.width < 1:
            raise UserError(f"encoder.width is {self.width}; it needs at least 1 filter.")
        if self.widths and (len(self.widths) != 3 or min(self.widths) < 1):
            raise UserError(f"encoder.widths is {list(self.widths)}; give filters of three stages, at least 1 each.")
        if self.widths and self.architecture in ("binary", "dense"):
            raise UserError(
                f"encoder.widths is not of the architecture {self.architecture}, whose filters encoder.width gives; "
                "leave it out."
            )
        self._check_blocks()

    def _check_blocks(self) -> None:
        of_rir = {"block": "rir", "form": "four_convolutions", "outer_shortcut": True}
        chosen = [name for name, usual in of_rir.items() if getattr(self, name) != usual]
        if self.architecture != "rir":
            if chosen:
                raise UserError(
                    f"encoder.{chosen[0]} is of the architecture rir alone, and this is {self.architecture}; choose "
                    "--encoder.architecture rir, or leave it out."
                )
            return
        if self.block not in BLOCKS:
            raise UserError(f"encoder.block is {self.block!r}; choose from {', '.join(BLOCKS)}.")
        if not self.outer_shortcut and self.block != "rir":
            raise UserError(
                f"encoder.outer_shortcut is a switch of the block rir, and encoder.block is {self.block}; leave it out."
            )
        if not self.has_two_streams:
            if self.form == "one_convolution":
                raise UserError(
                    f"encoder.form is of blocks of two streams, and encoder.block is {self.block}; leave it out."
                )
            return
        if any(width % 2 for width in self.stage_widths):
            name, value = ("widths", list(self.widths)) if self.widths else ("width", self.width)
            raise UserError(
                f"encoder.{name} is {value}, which cannot be split into a residual and a transient stream of equal "
                "width; choose even numbers."
            )
        if self.form == "one_convolution" and self.shortcut == "B":
            raise UserError(
                "encoder.form one_convolution has its shortcut within the weights, as an identity, and does not go "
                "with projections; choose --encoder.shortcut identity, or --encoder.form four_convolutions."
            )

    @property
    def has_two_streams(self) -> bool:
        """Whether the network has a residual and a transient stream."""
        return self.architecture == "rir" and self.block in _OF_TWO_STREAMS

    @property
    def kind_of_shortcut(self) -> Shortcut:
        """The shortcut by the letters of He et al."""
        return "B" if self.shortcut == "B" else "A"

    @property
    def blocks_per_stage(self) -> int:
        """n in depth = 6n+2, of the architecture `resnet`."""
        return (self.depth - 2) // 6

    @property
    def stage_blocks(self) -> tuple[int, int, int]:
        """Blocks of the three stages."""
        blocks = (self.depth - 2) // 2
        return blocks // 3, (blocks + 1) // 3, (blocks + 2) // 3

    @property
    def stage_widths(self) -> tuple[int, int, int]:
        """Filters of the three stages."""
        if self.widths:
            first, second, third = self.widths
            return first, second, third
        return self.width, 2 * self.width, 4 * self.width
