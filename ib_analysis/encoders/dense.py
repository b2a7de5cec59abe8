"""Networks of densely connected cells, whose layers are a normalisation and a convolution: the space of DPP-Net.

Source: Dong, Cheng, Juan, Wei & Sun 2018 (arXiv 1806.08198), with the growth of CondenseNet (Huang et al. 2018, arXiv
1711.09224). Stem and head, and that a depthwise convolution is followed by a 1x1 one, are our reading.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ib_analysis.artifacts import UserError
from ib_analysis.encoders.config import EncoderConfig
from ib_analysis.encoders.dense_config import CellConvolution, CellNormalisation
from ib_analysis.encoders.interface import TappedNetwork
from ib_analysis.encoders.learned_groups import LearnedGroupConv2d
from ib_analysis.encoders.normalisation import Normalisation
from ib_analysis.encoders.resnet import CHAIN, LAYERS, convolution, he_initialise

__all__ = ["DenseClassifier", "DenseLayer"]


def _normalisation(kind: CellNormalisation, channels: int) -> nn.Module:
    if kind == "identity":
        return nn.Identity()
    norm = nn.BatchNorm2d(channels)
    return norm if kind == "bn" else nn.Sequential(norm, nn.ReLU(inplace=True))


def _convolution(kind: CellConvolution, channels: int, growth: int, groups: int) -> nn.Module:
    if kind == "1x1_learned_group":
        return LearnedGroupConv2d(channels, growth, groups)
    if kind == "3x3_depthwise":
        depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        return nn.Sequential(depthwise, convolution(channels, growth, kernel_size=1))
    size = int(kind[0])
    own = groups if kind.endswith("group") else 1
    return nn.Conv2d(channels, growth, size, padding=size // 2, groups=own, bias=False)


class DenseLayer(nn.Module):
    """x -> x together with convolution(normalisation(x)).

    Arguments:
        normalisation, convolution: their kinds, see `DenseNetworkConfig`.
        channels: of x.
        growth: channels that are added.
        groups: of grouped convolutions.
    """

    def __init__(
        self, normalisation: CellNormalisation, convolution: CellConvolution, channels: int, growth: int, groups: int
    ) -> None:
        super().__init__()
        self.normalisation = _normalisation(normalisation, channels)
        self.convolution = _convolution(convolution, channels, growth, groups)

    def forward(self, x: Tensor) -> Tensor:
        """Arguments: x: shape (B, channels, H, W). Returns: shape (B, channels + growth, H, W)."""
        return torch.cat([x, self.convolution(self.normalisation(x))], dim=1)


class DenseTrunk(nn.Module):
    """Stem, and three stages of cells at full, half and quarter resolution, 2x2 pixels averaged between them.

    Arguments:
        config: `width` of the stem, and `dense`.
        in_channels: channels of the images.
    """

    def __init__(self, config: EncoderConfig, in_channels: int) -> None:
        super().__init__()
        own = config.dense
        channels = config.width
        self.stem = convolution(in_channels, channels)
        self.stages = nn.ModuleList()
        for stage in range(3):
            growth, layers = own.growth * 2**stage, []
            for _ in range(own.cells):
                for kinds in zip(own.normalisations, own.convolutions, strict=True):
                    layers.append(DenseLayer(*kinds, channels, growth, own.groups))
                    channels += growth
            self.stages.append(nn.Sequential(*layers))
        self.last = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.out_channels = channels

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Arguments: x: normalised images (B, C, H, W). Returns: h1..h3 (ends of stages), h4 (mean of h3, normalised
        and rectified)."""
        taps = {}
        x = self.stem(x)
        for index, (layer, stage) in enumerate(zip(LAYERS, self.stages, strict=False)):
            if index:
                x = F.avg_pool2d(x, 2, ceil_mode=True)
            taps[layer] = x = stage(x)
        taps["h4"] = self.last(x).mean(dim=(2, 3))
        return taps


class DenseClassifier(TappedNetwork):
    """The classifier: trunk, global average pool, one dense layer.

    Arguments:
        config: see `EncoderConfig`.
        image_shape: (C, H, W).
        intensities: number of levels of a pixel.
        n_classes: number of logits.
        seed: of the initialisation.

    >>> network = DenseClassifier(EncoderConfig("dense", width=8), (1, 8, 8), 256, n_classes=10, seed=0)
    >>> [tuple(tap.shape[1:]) for tap in network.taps(torch.zeros(1, 1, 8, 8, dtype=torch.uint8)).values()]
    [(32, 8, 8), (80, 4, 4), (176, 2, 2), (176,)]
    """

    layers = LAYERS
    determined_by = CHAIN

    def __init__(
        self, config: EncoderConfig, image_shape: Sequence[int], intensities: int, n_classes: int, seed: int
    ) -> None:
        super().__init__()
        if config.width % config.dense.groups:
            raise UserError(
                f"encoder.width is {config.width}, which {config.dense.groups} groups (encoder.dense.groups) do not "
                "divide; choose numbers that do."
            )
        self.normalisation = Normalisation(image_shape[0], intensities)
        self.trunk = DenseTrunk(config, image_shape[0])
        self.head = nn.Linear(self.trunk.out_channels, n_classes)
        he_initialise(self, seed)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.taps(images)["h4"])

    def taps(self, images: Tensor) -> dict[str, Tensor]:
        return self.trunk(self.normalisation(images))

    def fit_preprocessing(self, images: Tensor) -> None:
        self.normalisation.fit(images)
