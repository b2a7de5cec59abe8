"""The CIFAR ResNet of He et al. 2016 (arXiv 1512.03385, section 4.2), with its taps h1..h4."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ib_analysis.encoders.config import EncoderConfig, Shortcut
from ib_analysis.encoders.interface import TappedNetwork
from ib_analysis.encoders.normalisation import Normalisation

__all__ = [
    "CHAIN",
    "LAYERS",
    "PaddedIdentity",
    "ResNetClassifier",
    "ResNetTrunk",
    "ResidualBlock",
    "convolution",
    "he_initialise",
]

LAYERS = ("h1", "h2", "h3", "h4")
CHAIN = MappingProxyType({"h2": "h1", "h3": "h2", "h4": "h3"})
"""Each stage reads the end of the stage before and nothing else; h4 is the mean of h3."""


def convolution(in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size (up to its stride) and has no bias: batch normalisation follows."""
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False)


@runtime_checkable
class StartsOtherwise(Protocol):
    """A module whose weights start elsewhere than at He et al.'s."""

    def finish_initialisation(self) -> None:
        """Change freshly drawn weights in place."""


def he_initialise(network: nn.Module, seed: int) -> None:
    """Draw all weights from N(0, 2 / fan_in) (He et al. 2015, arXiv 1502.01852, eq. 10); biases are zero.

    Modules that start otherwise (`StartsOtherwise`) then change what was drawn.

    Arguments:
        network: its convolutions and dense layers are changed in place.
        seed: of a generator of its own; the global random state is neither read nor changed.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, StartsOtherwise):
            module.finish_initialisation()


class PaddedIdentity(nn.Module):
    """Shortcut A: every second pixel, and zeros for the channels that are new. It has no parameters.

    Arguments:
        new_channels: how many; below zero, as many of the last channels are left out.
        stride: pixels from one that is kept to the next.
    """

    def __init__(self, new_channels: int, stride: int) -> None:
        super().__init__()
        self.new_channels, self.stride = new_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut: ReLU(BN(conv(ReLU(BN(conv x)))) + shortcut(x)).

    Arguments:
        in_channels, out_channels: channels of input and output.
        stride: of the first convolution and of the shortcut.
        shortcut: what stands where the shape changes, see `EncoderConfig.shortcut`.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            convolution(in_channels, out_channels, stride=stride),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            convolution(out_channels, out_channels),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if (in_channels, stride) != (out_channels, 1):
            if shortcut == "A":
                self.shortcut = PaddedIdentity(out_channels - in_channels, stride)
            else:
                self.shortcut = nn.Sequential(
                    convolution(in_channels, out_channels, kernel_size=1, stride=stride),
                    nn.BatchNorm2d(out_channels),
                )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.residual(x) + self.shortcut(x))


class ResNetTrunk(nn.Module):
    """Stem and three stages of width, 2 width and 4 width filters at full, half and quarter resolution.

    Arguments:
        config: depth, width and shortcut.
        in_channels: channels of the images.
    """

    def __init__(self, config: EncoderConfig, in_channels: int) -> None:
        super().__init__()
        channels = config.stage_widths[0]
        self.stem = nn.Sequential(convolution(in_channels, channels), nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.stages = nn.ModuleList()
        for index, (width, n_blocks) in enumerate(zip(config.stage_widths, config.stage_blocks, strict=True)):
            blocks = []
            for block in range(n_blocks):
                stride = 2 if index > 0 and block == 0 else 1
                blocks.append(ResidualBlock(channels, width, stride, config.kind_of_shortcut))
                channels = width
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Arguments: x: normalised images (B, C, H, W). Returns: h1..h3 (ends of stages), h4 (their mean)."""
        taps = {}
        x = self.stem(x)
        for layer, stage in zip(LAYERS, self.stages, strict=False):
            taps[layer] = x = stage(x)
        taps["h4"] = x.mean(dim=(2, 3))
        return taps


class ResNetClassifier(TappedNetwork):
    """The classifier: trunk, global average pool, one dense layer.

    Arguments:
        config: see `EncoderConfig`.
        image_shape: (C, H, W).
        intensities: number of levels of a pixel.
        n_classes: number of logits.
        seed: of the initialisation.

    >>> network = ResNetClassifier(EncoderConfig(), (3, 32, 32), 256, n_classes=10, seed=0)
    >>> sum(parameter.numel() for parameter in network.parameters())
    269722
    """

    layers = LAYERS
    determined_by = CHAIN

    def __init__(
        self, config: EncoderConfig, image_shape: Sequence[int], intensities: int, n_classes: int, seed: int
    ) -> None:
        super().__init__()
        self.normalisation = Normalisation(image_shape[0], intensities)
        self.trunk = ResNetTrunk(config, image_shape[0])
        self.head = nn.Linear(config.stage_widths[-1], n_classes)
        he_initialise(self, seed)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.taps(images)["h4"])

    def taps(self, images: Tensor) -> dict[str, Tensor]:
        return self.trunk(self.normalisation(images))

    def fit_preprocessing(self, images: Tensor) -> None:
        self.normalisation.fit(images)
