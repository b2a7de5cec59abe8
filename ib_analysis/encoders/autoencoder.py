"""The autoencoder: the classifier's trunk, and its mirror image back to the pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ib_analysis.encoders.config import EncoderConfig, Shortcut
from ib_analysis.encoders.interface import TappedNetwork
from ib_analysis.encoders.normalisation import Normalisation
from ib_analysis.encoders.resnet import CHAIN, LAYERS, ResidualBlock, ResNetTrunk, convolution, he_initialise

__all__ = ["Autoencoder", "Mirror", "ResNetAutoencoder", "psnr_db", "reconstruct"]

MakeBlock = Callable[[int, int], nn.Module]
MakeUpsampling = Callable[[int, int, tuple[int, int]], nn.Module]


def psnr_db(mean_squared_error: float) -> float:
    """Peak signal-to-noise ratio in decibels of images in [0, 1]: -10 log10(MSE).

    >>> round(psnr_db(0.001), 6)
    30.0
    """
    return -10 * math.log10(mean_squared_error) if mean_squared_error > 0 else math.inf


class UpsamplingBlock(nn.Module):
    """The mirror of a strided residual block: enlarge, then two 3x3 convolutions beside a shortcut.

    Arguments:
        in_channels, out_channels: channels of input and output; the output has fewer.
        size: (height, width) of the output: what the mirrored block had halved, so that odd sizes work.
        shortcut: A keeps the first channels (the transpose of padding with zero channels), B projects.
    """

    def __init__(self, in_channels: int, out_channels: int, size: tuple[int, int], shortcut: Shortcut) -> None:
        super().__init__()
        self.size, self.out_channels = size, out_channels
        self.residual = nn.Sequential(
            convolution(in_channels, out_channels),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            convolution(out_channels, out_channels),
            nn.BatchNorm2d(out_channels),
        )
        self.projection: nn.Module | None = None
        if shortcut == "B":
            self.projection = nn.Sequential(
                convolution(in_channels, out_channels, kernel_size=1), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, size=self.size, mode="nearest")
        shortcut = x[:, : self.out_channels] if self.projection is None else self.projection(x)
        return F.relu(self.residual(x) + shortcut)


class Mirror(nn.Module):
    """From the last stage (or its mean) back to an image in [0, 1]: the trunk's blocks in reverse order.

    Arguments:
        config: stages and bottleneck.
        image_shape: (C, H, W) of the images.
        block: makes a block that keeps the shape, from its channels (in, out).
        upsampling: makes the mirror of a strided block, from its channels (in, out) and the size (height, width) of its
            output.
    """

    def __init__(
        self, config: EncoderConfig, image_shape: Sequence[int], block: MakeBlock, upsampling: MakeUpsampling
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        sizes = [(height, width)]
        for _ in range(2):
            sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
        widths = config.stage_widths
        blocks: list[nn.Module] = []
        if config.bottleneck == "h4":
            # The mirror of averaging over space must say where things are, so it is a dense layer.
            blocks += [
                nn.Linear(widths[2], widths[2] * math.prod(sizes[2]), bias=False),
                nn.Unflatten(1, (widths[2], *sizes[2])),
                nn.BatchNorm2d(widths[2]),
                nn.ReLU(inplace=True),
            ]
        for index in (2, 1, 0):
            same = config.stage_blocks[index] - (1 if index > 0 else 0)
            blocks += [block(widths[index], widths[index]) for _ in range(same)]
            if index > 0:
                blocks.append(upsampling(widths[index], widths[index - 1], sizes[index - 1]))
        self.blocks = nn.Sequential(*blocks)
        self.pixels = nn.Conv2d(widths[0], channels, 3, padding=1)

    def forward(self, code: Tensor) -> Tensor:
        """Arguments: code: h3 (B, C, h, w) or h4 (B, C). Returns: shape (B, C, H, W) in [0, 1]."""
        return torch.sigmoid(self.pixels(self.blocks(code)))


class Autoencoder(TappedNetwork):
    """A trunk, and a mirror that makes images of one of its taps; trained to give back its input.

    Arguments:
        bottleneck: name of the tap that is decoded.
        image_shape: (C, H, W).
        intensities: number of levels of a pixel.
        trunk: from normalised images to taps.
        mirror: from the bottleneck to images in [0, 1].
        seed: of the initialisation.
    """

    def __init__(
        self,
        bottleneck: str,
        image_shape: Sequence[int],
        intensities: int,
        trunk: nn.Module,
        mirror: nn.Module,
        seed: int,
    ) -> None:
        super().__init__()
        self.bottleneck, self.intensities = bottleneck, intensities
        self.normalisation = Normalisation(image_shape[0], intensities)
        self.trunk = trunk
        self.mirror = mirror
        he_initialise(self, seed)

    def forward(self, images: Tensor) -> Tensor:
        return self.mirror(self.taps(images)[self.bottleneck])

    def taps(self, images: Tensor) -> dict[str, Tensor]:
        return self.trunk(self.normalisation(images))

    def fit_preprocessing(self, images: Tensor) -> None:
        self.normalisation.fit(images)


class ResNetAutoencoder(Autoencoder):
    """The same trunk as the classifier's, trained to give back its input.

    Arguments:
        config: see `EncoderConfig`; `bottleneck` names the tap that is decoded.
        image_shape: (C, H, W).
        intensities: number of levels of a pixel.
        seed: of the initialisation.

    >>> network = ResNetAutoencoder(EncoderConfig(depth=8, width=4), (1, 8, 8), 16, seed=0)
    >>> network(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)).shape
    torch.Size([2, 1, 8, 8])
    """

    layers = LAYERS
    determined_by = CHAIN

    def __init__(self, config: EncoderConfig, image_shape: Sequence[int], intensities: int, seed: int) -> None:
        shortcut = config.kind_of_shortcut
        mirror = Mirror(
            config,
            image_shape,
            lambda inner, outer: ResidualBlock(inner, outer, 1, shortcut),
            lambda inner, outer, size: UpsamplingBlock(inner, outer, size, shortcut),
        )
        trunk = ResNetTrunk(config, image_shape[0])
        super().__init__(config.bottleneck, image_shape, intensities, trunk, mirror, seed)


@torch.inference_mode()
def reconstruct(autoencoder: TappedNetwork, images: Tensor, intensities: int) -> Tensor:
    """What an autoencoder makes of images, rounded to pixel levels.

    Arguments:
        autoencoder: in evaluation mode, else batch statistics leak between images; of several outputs, the last is the
            image.
        images: shape (B, C, H, W), integers 0..intensities-1.
        intensities: number of levels of a pixel.

    Returns:
        Shape (B, C, H, W), uint8.
    """
    output = autoencoder(images)
    image = output if isinstance(output, Tensor) else output[-1]
    return (image * (intensities - 1)).round().to(torch.uint8)
