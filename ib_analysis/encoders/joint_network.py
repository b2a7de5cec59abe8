"""The network of two tasks: one trunk, a classifier's head and an autoencoder's mirror."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from ib_analysis.encoders.autoencoder import Mirror, UpsamplingBlock
from ib_analysis.encoders.config import EncoderConfig
from ib_analysis.encoders.interface import TappedNetwork
from ib_analysis.encoders.normalisation import Normalisation
from ib_analysis.encoders.resnet import CHAIN, LAYERS, ResidualBlock, ResNetTrunk, he_initialise

__all__ = ["JointOutput", "ResNetJoint"]


class JointOutput(NamedTuple):
    """What both heads say of a batch."""

    logits: Tensor
    """Shape (B, classes)."""

    image: Tensor
    """Shape (B, C, H, W), in [0, 1]."""


class ResNetJoint(TappedNetwork):
    """The classifier's and the autoencoder's common trunk with the head of the one and the mirror of the other.

    The trunk starts from the weights that a classifier of this seed starts from, so that networks of one seed differ
    by what they are trained for alone.

    Arguments:
        config: see `EncoderConfig`; `bottleneck` names the tap that is decoded, the classes are read from h4.
        image_shape: (C, H, W).
        intensities: number of levels of a pixel.
        n_classes: number of logits.
        seed: of the initialisation.

    >>> import torch
    >>> network = ResNetJoint(EncoderConfig(depth=8, width=4), (1, 8, 8), 16, n_classes=10, seed=0)
    >>> logits, image = network(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    >>> logits.shape, image.shape
    (torch.Size([2, 10]), torch.Size([2, 1, 8, 8]))
    """

    layers = LAYERS
    determined_by = CHAIN

    def __init__(
        self, config: EncoderConfig, image_shape: Sequence[int], intensities: int, n_classes: int, seed: int
    ) -> None:
        super().__init__()
        shortcut = config.kind_of_shortcut
        self.bottleneck, self.intensities = config.bottleneck, intensities
        self.normalisation = Normalisation(image_shape[0], intensities)
        self.trunk = ResNetTrunk(config, image_shape[0])
        self.head = nn.Linear(config.stage_widths[-1], n_classes)
        self.mirror = Mirror(
            config,
            image_shape,
            lambda inner, outer: ResidualBlock(inner, outer, 1, shortcut),
            lambda inner, outer, size: UpsamplingBlock(inner, outer, size, shortcut),
        )
        he_initialise(self, seed)

    def forward(self, images: Tensor) -> JointOutput:
        taps = self.taps(images)
        return JointOutput(self.head(taps["h4"]), self.mirror(taps[self.bottleneck]))

    def taps(self, images: Tensor) -> dict[str, Tensor]:
        return self.trunk(self.normalisation(images))

    def fit_preprocessing(self, images: Tensor) -> None:
        self.normalisation.fit(images)
