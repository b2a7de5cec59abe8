"""The fully binary CNN and its real-valued twin: a reconstruction of BCNN, made of `BinaryBlock` alone.

Three stages as in the CIFAR ResNet. What goes on from one stage to the next is signs alone, which are the taps: one bit
a unit, and a bottleneck. Inside a stage a stream of real numbers passes beside the signs, as in Bi-Real net.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ib_analysis.artifacts import UserError
from ib_analysis.binary import BinaryBlock, BinaryConv2d, BinaryLinear, Code, InputCode, Phase, set_phase
from ib_analysis.binary.block import PooledCopies
from ib_analysis.encoders.config import EncoderConfig
from ib_analysis.encoders.interface import TappedNetwork
from ib_analysis.encoders.resnet import he_initialise

__all__ = ["BinaryAutoencoder", "BinaryClassifier", "BinaryNetwork"]


class BinaryNetwork(TappedNetwork):
    """What classifier and autoencoder share: the phase, kept with the weights, and where the taps' signs are made.

    A network is built as the twin, of real numbers but for its input code; `set_phase` makes it binary.

    Attributes:
        readers: tap -> path of the `Code` whose output it is.
    """

    readers: dict[str, str]

    def __init__(self, config: EncoderConfig, image_shape: Sequence[int], intensities: int) -> None:
        super().__init__()
        self.phase = Phase.REAL
        self.trunk = BinaryTrunk(config, image_shape[0], intensities)
        self.readers = {f"h{index}": f"trunk.codes.{index - 1}" for index in (1, 2, 3)}
        if config.binary.code_units:
            self.readers["h4"] = "trunk.code"
        self.layers = tuple(self.readers)
        self.determined_by = dict(zip(self.layers[1:], self.layers[:-1], strict=True))  # signs are all that goes on

    def set_phase(self, phase: Phase) -> BinaryNetwork:
        """Set how far the network is binary, and return it."""
        self.phase = phase
        set_phase(self.trunk, phase)
        for name, part in self.named_children():
            if name != "trunk":
                set_phase(part, phase)
        return self

    def taps(self, images: Tensor) -> dict[str, Tensor]:
        """The signs that enter what comes next; numbers between -1 and 1 in a twin."""
        return self.trunk(images)

    def get_extra_state(self) -> Tensor:
        return torch.tensor(int(self.phase))

    def set_extra_state(self, state: Any) -> None:
        self.set_phase(Phase(int(state)))


class BinaryTrunk(nn.Module):
    """From images to the signs at the ends of the stages, and the code of few units behind them if there is one.

    Arguments:
        config: depth, width, shortcut and what is binary's own.
        channels: of the images.
        intensities: number of levels of a pixel.
    """

    def __init__(self, config: EncoderConfig, channels: int, intensities: int) -> None:
        super().__init__()
        own = config.binary
        self.input = InputCode(own.input_code, channels, intensities, own.input_levels)
        self.stem = BinaryBlock(_convolution(config, self.input.out_channels, config.width), activation=True)
        self.stages, self.codes = nn.ModuleList(), nn.ModuleList()
        for index in range(3):
            width = config.width * 2**index
            blocks: list[nn.Module] = []
            if index > 0:
                product = _convolution(config, width // 2, width, stride=2)
                blocks.append(BinaryBlock(product, None, _smaller(config, width), activation=True))
            blocks += [_same_size(config, width) for _ in range(2 * config.blocks_per_stage - len(blocks))]
            self.stages.append(nn.Sequential(*blocks))
            self.codes.append(Code(width))
        self.units: nn.Module | None = None
        if own.code_units:
            product = BinaryConv2d(4 * config.width, own.code_units, kernel_size=1)
            self.units = BinaryBlock(product, activation=False, averaged=True)
            self.code = Code(own.code_units)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Arguments: images: shape (B, C, H, W), integers. Returns: h1..h3 (B, C, h, w), and h4 (B, units) if any."""
        taps = {}
        x = self.stem(self.input(images))
        for index, (stage, code) in enumerate(zip(self.stages, self.codes, strict=True), start=1):
            taps[f"h{index}"] = x = code(stage(x))
        if self.units is not None:
            taps["h4"] = self.code(self.units(x))
        return taps


class BinaryClassifier(BinaryNetwork):
    """Trunk and a binary classifier: a product with h4 if there is one, else with h3 at every position, whose results
    are averaged (the product of binary weights with the mean of the signs).

    Arguments:
        config: see `EncoderConfig`.
        image_shape: (C, H, W).
        intensities: number of levels of a pixel.
        n_classes: number of logits.
        seed: of the initialisation.

    >>> config = EncoderConfig(architecture="binary", depth=8, width=4)
    >>> network = BinaryClassifier(config, (1, 8, 8), 16, n_classes=10, seed=0).set_phase(Phase.BINARY)
    >>> network.taps(torch.zeros(1, 1, 8, 8, dtype=torch.uint8))["h3"].unique().tolist()
    [-1.0, 1.0]
    """

    def __init__(
        self, config: EncoderConfig, image_shape: Sequence[int], intensities: int, n_classes: int, seed: int
    ) -> None:
        super().__init__(config, image_shape, intensities)
        units = config.binary.code_units
        product = BinaryLinear(units, n_classes) if units else BinaryConv2d(4 * config.width, n_classes, kernel_size=1)
        self.head = BinaryBlock(product, activation=False, averaged=not units)
        he_initialise(self, seed)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.taps(images)[self.layers[-1]])


class BinaryAutoencoder(BinaryNetwork):
    """The same trunk, and its mirror of binary blocks back to the pixels.

    Arguments:
        config: see `EncoderConfig`; `bottleneck` names the tap that is decoded.
        image_shape: (C, H, W).
        intensities: number of levels of a pixel.
        seed: of the initialisation.

    Raises:
        UserError: h4 is to be decoded, and there is none.
    """

    def __init__(self, config: EncoderConfig, image_shape: Sequence[int], intensities: int, seed: int) -> None:
        super().__init__(config, image_shape, intensities)
        self.bottleneck = config.bottleneck
        if self.bottleneck not in self.layers:
            raise UserError(
                "encoder.bottleneck is h4, which a binary network has only with encoder.binary.code_units; choose a "
                "number of units, or h3."
            )
        self.mirror = BinaryMirror(config, image_shape)
        he_initialise(self, seed)

    def forward(self, images: Tensor) -> Tensor:
        return torch.sigmoid(self.mirror(self.taps(images)[self.bottleneck]))


class Enlarged(nn.Module):
    """Every pixel copied to the next stage's size: signs stay signs.

    Arguments:
        size: (height, width) of the output.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, size=self.size, mode="nearest")


class FirstChannels(nn.Module):
    """A shortcut to fewer channels without a product: the first ones, as the mirror of a ResNet has it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return x[:, : self.channels]


class BinaryMirror(nn.Module):
    """From the signs of a tap to what the sigmoid makes pixels of: the trunk's blocks in reverse order.

    Arguments:
        config: depth, width, shortcut, bottleneck and what is binary's own.
        image_shape: (C, H, W) of the images.
    """

    def __init__(self, config: EncoderConfig, image_shape: Sequence[int]) -> None:
        super().__init__()
        channels, height, width = image_shape
        sizes = [(height, width)]
        for _ in range(2):
            sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
        widths = [config.width * 2**index for index in range(3)]
        blocks: list[nn.Module] = []
        if config.bottleneck == "h4":
            spread = BinaryLinear(config.binary.code_units, widths[2] * sizes[2][0] * sizes[2][1])
            blocks += [
                BinaryBlock(spread, activation=True),
                nn.Unflatten(1, (widths[2], *sizes[2])),
                Code(widths[2]),
            ]
        # What comes in is signs: the first block has no code of its own.
        blocks.append(BinaryBlock(_convolution(config, widths[2], widths[2]), None, nn.Identity(), activation=True))
        blocks += [_same_size(config, widths[2]) for _ in range(2 * config.blocks_per_stage - 2)]
        for index in (1, 0):
            product = _convolution(config, widths[index + 1], widths[index])
            shortcut: nn.Module = FirstChannels(widths[index])
            if config.shortcut == "B":
                shortcut = _projection(widths[index + 1], widths[index])
            blocks += [Code(widths[index + 1]), Enlarged(sizes[index])]
            blocks.append(BinaryBlock(product, None, shortcut, activation=True))
            blocks += [_same_size(config, widths[index]) for _ in range(2 * config.blocks_per_stage - 1)]
        self.blocks = nn.Sequential(*blocks)
        self.pixels = BinaryBlock(_convolution(config, widths[0], channels), Code(widths[0]), activation=False)

    def forward(self, code: Tensor) -> Tensor:
        """Arguments: code: signs, h3 (B, C, h, w) or h4 (B, units). Returns: shape (B, C, H, W), before the sigmoid."""
        return self.pixels(self.blocks(code))


def _convolution(config: EncoderConfig, in_channels: int, out_channels: int, stride: int = 1) -> BinaryConv2d:
    return BinaryConv2d(in_channels, out_channels, stride=stride, padding_sign=config.binary.padding)


def _same_size(config: EncoderConfig, width: int) -> BinaryBlock:
    return BinaryBlock(_convolution(config, width, width), Code(width), nn.Identity(), activation=True)


def _smaller(config: EncoderConfig, width: int) -> nn.Module:
    """The shortcut where a stage begins."""
    return PooledCopies(width) if config.shortcut == "A" else _projection(width // 2, width, stride=2)


def _projection(in_channels: int, out_channels: int, stride: int = 1) -> BinaryBlock:
    """A shortcut of binary weights."""
    return BinaryBlock(BinaryConv2d(in_channels, out_channels, 1, stride), activation=False)
