"""ResNet in ResNet, and the networks it is compared with (Targ et al. 2016, arXiv 1603.08029).

One trunk of blocks of two 3x3 layers; the kind of block makes the network:

    block         a layer                  around two layers
    plain         convolution              nothing
    resnet        convolution              shortcut
    resnet_init   generalized, 2 streams   nothing
    rir           generalized, 2 streams   outer shortcut, a switch

The paper's "18-layer + wide" network is depth 18 and width 96 (48 filters per stream) here. In ResNet in ResNet the
convolutions of a residual block are replaced by generalized layers, whose input is both streams: so the outer shortcut
is taken to go around both. That reading is ours; the paper's text could not be had in full.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ib_analysis.encoders.autoencoder import Autoencoder, Mirror
from ib_analysis.encoders.config import EncoderConfig, Form, Shortcut
from ib_analysis.encoders.generalized_layer import STREAMS, generalized_layer, split_width, streams_of
from ib_analysis.encoders.interface import TappedNetwork
from ib_analysis.encoders.normalisation import Normalisation
from ib_analysis.encoders.resnet import CHAIN, LAYERS, PaddedIdentity, ResidualBlock, convolution, he_initialise

__all__ = ["RiRAutoencoder", "RiRBlock", "RiRClassifier", "RiRTrunk", "make_block", "stream_pairs", "stream_tap"]


def stream_tap(layer: str, stream: str) -> str:
    """The name of one stream's tap.

    >>> stream_tap("h1", "residual")
    'h1_residual'
    """
    return f"{layer}_{stream}"


def stream_pairs(taps: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The places of a network of which both streams are among some taps: place -> its residual and transient tap.

    >>> stream_pairs(["h1_residual", "h1_transient", "h2_residual", "h3"])
    {'h1': ('h1_residual', 'h1_transient')}
    """
    known = set(taps)
    found = {}
    for layer in LAYERS:
        residual, transient = (stream_tap(layer, stream) for stream in STREAMS)
        if {residual, transient} <= known:
            found[layer] = (residual, transient)
    return found


STREAM_LAYERS = tuple(name for layer in LAYERS for name in (layer, *(stream_tap(layer, stream) for stream in STREAMS)))
STREAM_CHAIN = MappingProxyType(
    {**CHAIN, **{stream_tap(layer, stream): layer for layer in LAYERS for stream in STREAMS}}
)
"""A stage reads both streams of the stage before, and each stream is a part of both."""


class StreamShortcuts(nn.Module):
    """The outer shortcut: around both streams, for each on its own.

    Modules of their own for each stream, also where nothing is to be done: who watches the network sees what reads a
    stream.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        inner, outer = split_width(in_channels), split_width(out_channels)

        def make() -> nn.Module:
            if (inner, stride) == (outer, 1):
                return nn.Identity()
            if shortcut == "A":
                return PaddedIdentity(outer - inner, stride)
            return nn.Sequential(convolution(inner, outer, kernel_size=1, stride=stride), nn.BatchNorm2d(outer))

        self.residual, self.transient = make(), make()

    def forward(self, x: Tensor) -> Tensor:
        r, t = streams_of(x)
        return torch.cat([self.residual(r), self.transient(t)], dim=1)


class RiRBlock(nn.Module):
    """Two generalized residual layers, with or without a shortcut around both; batch normalisation before each ReLU.

    Arguments:
        in_channels, out_channels: of both streams together.
        stride: of the first layer and of the shortcuts.
        shortcut: what stands where the shape changes, in the first layer and around both.
        form: of the layers.
        outer_shortcut: whether there is one around both.

    Raises:
        UserError: widths that cannot be split, or one convolution with projections.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, shortcut: Shortcut, form: Form, outer_shortcut: bool
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            generalized_layer(in_channels, out_channels, stride, shortcut, form),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            generalized_layer(out_channels, out_channels, 1, shortcut, form),
            nn.BatchNorm2d(out_channels),
        )
        self.outer = StreamShortcuts(in_channels, out_channels, stride, shortcut) if outer_shortcut else None

    def forward(self, x: Tensor) -> Tensor:
        """Arguments: x: shape (B, in_channels, H, W), r then t. Returns: shape (B, out_channels, h, w), likewise."""
        inner = self.layers(x)
        return F.relu(inner if self.outer is None else inner + self.outer(x))


def make_block(config: EncoderConfig, in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """A block of two layers of the kind that the config chooses.

    Arguments:
        in_channels, out_channels: of both streams together where there are two.
        stride: of its first layer.
    """
    shortcut = config.kind_of_shortcut
    if config.block == "plain":
        return nn.Sequential(
            convolution(in_channels, out_channels, stride=stride),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            convolution(out_channels, out_channels),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )
    if config.block == "resnet":
        return ResidualBlock(in_channels, out_channels, stride, shortcut)
    outer = config.block == "rir" and config.outer_shortcut
    return RiRBlock(in_channels, out_channels, stride, shortcut, config.form, outer)


class RiRTrunk(nn.Module):
    """Stem and three stages of blocks at full, half and quarter resolution.

    The stem is one convolution of all filters: with two streams, a stem for each.

    Arguments:
        config: depth, width, and the kind of block.
        in_channels: channels of the images.
    """

    def __init__(self, config: EncoderConfig, in_channels: int) -> None:
        super().__init__()
        self.has_two_streams = config.has_two_streams
        channels = config.stage_widths[0]
        self.stem = nn.Sequential(convolution(in_channels, channels), nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.stages = nn.ModuleList()
        for index, (width, n_blocks) in enumerate(zip(config.stage_widths, config.stage_blocks, strict=True)):
            blocks = []
            for place in range(n_blocks):
                blocks.append(make_block(config, channels, width, 2 if index > 0 and place == 0 else 1))
                channels = width
            self.stages.append(nn.Sequential(*blocks))
        # A module and no function: who watches the network sees that h3 is also read as it is.
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Arguments: x: normalised images (B, C, H, W). Returns: h1..h3 (ends of stages), h4 (their mean), and with two
        streams each of them on its own: h1_residual, h1_transient, ..."""
        states = {}
        x = self.stem(x)
        for layer, stage in zip(LAYERS, self.stages, strict=False):
            states[layer] = x = stage(x)
        states["h4"] = self.pool(x)
        if not self.has_two_streams:
            return states
        taps = {}
        for layer, state in states.items():
            taps[layer] = state
            taps |= {stream_tap(layer, name): part for name, part in zip(STREAMS, streams_of(state), strict=True)}
        return taps


def _taps_of(config: EncoderConfig) -> tuple[tuple[str, ...], Mapping[str, str]]:
    return (STREAM_LAYERS, STREAM_CHAIN) if config.has_two_streams else (LAYERS, CHAIN)


class RiRClassifier(TappedNetwork):
    """The classifier: trunk, 1x1 convolution of both streams to the classes, batch normalisation, global mean.

    In evaluation mode the mean can as well be taken first, so that the logits are a function of the tap h4.

    Arguments:
        config: see `EncoderConfig`.
        image_shape: (C, H, W).
        intensities: number of levels of a pixel.
        n_classes: number of logits.
        seed: of the initialisation.

    >>> config = EncoderConfig("rir", depth=8, width=8)
    >>> network = RiRClassifier(config, (1, 8, 8), 256, n_classes=10, seed=0)
    >>> network(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)).shape
    torch.Size([2, 10])
    >>> network.layers[:4]
    ('h1', 'h1_residual', 'h1_transient', 'h2')
    """

    def __init__(
        self, config: EncoderConfig, image_shape: Sequence[int], intensities: int, n_classes: int, seed: int
    ) -> None:
        super().__init__()
        self.layers, self.determined_by = _taps_of(config)
        self.normalisation = Normalisation(image_shape[0], intensities)
        self.trunk = RiRTrunk(config, image_shape[0])
        self.head = nn.Sequential(
            convolution(config.stage_widths[-1], n_classes, kernel_size=1), nn.BatchNorm2d(n_classes)
        )
        he_initialise(self, seed)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.taps(images)["h3"]).mean(dim=(2, 3))

    def taps(self, images: Tensor) -> dict[str, Tensor]:
        return self.trunk(self.normalisation(images))

    def fit_preprocessing(self, images: Tensor) -> None:
        self.normalisation.fit(images)


class RiRAutoencoder(Autoencoder):
    """The same trunk, and its mirror of the same blocks: before each that had halved the size, pixels are repeated.

    Arguments:
        config: see `EncoderConfig`; `bottleneck` names the tap, of both streams, that is decoded.
        image_shape: (C, H, W).
        intensities: number of levels of a pixel.
        seed: of the initialisation.

    >>> config = EncoderConfig("rir", depth=8, width=8)
    >>> network = RiRAutoencoder(config, (1, 8, 8), 16, seed=0)
    >>> network(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)).shape
    torch.Size([2, 1, 8, 8])
    """

    def __init__(self, config: EncoderConfig, image_shape: Sequence[int], intensities: int, seed: int) -> None:
        def upsampling(inner: int, outer: int, size: tuple[int, int]) -> nn.Module:
            return nn.Sequential(nn.Upsample(size=size, mode="nearest"), make_block(config, inner, outer, 1))

        mirror = Mirror(config, image_shape, lambda inner, outer: make_block(config, inner, outer, 1), upsampling)
        trunk = RiRTrunk(config, image_shape[0])
        super().__init__(config.bottleneck, image_shape, intensities, trunk, mirror, seed)
        self.layers, self.determined_by = _taps_of(config)
