"""What every encoder offers: an output to train on, and named taps to measure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor, nn

from ib_analysis.artifacts import UserError

__all__ = ["TappedNetwork", "tap_shapes"]


class TappedNetwork(nn.Module, ABC):
    """A network of integer images whose hidden layers can be read by name.

    Normalisation is the network's own business: it takes the pixels as they are stored.

    Attributes:
        layers: names of the taps, from input to output.
        code_bits: taps whose activations are whole numbers of few bits -> (bits, whether they can be negative).
        determined_by: tap -> an earlier tap that it is computed from alone, in evaluation mode: what the one tells of
            an image or its label, the other tells too. A tap whose network does not say so is left out.
    """

    layers: tuple[str, ...]
    code_bits: Mapping[str, tuple[int, bool]] = MappingProxyType({})
    determined_by: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """The output that is trained.

        Arguments:
            images: shape (B, C, H, W), integer pixels 0..intensities-1.

        Returns:
            Logits, shape (B, classes), or an image in [0, 1], shape (B, C, H, W).
        """

    @abstractmethod
    def taps(self, images: Tensor) -> dict[str, Tensor]:
        """The activations of all taps from one forward pass.

        Arguments:
            images: shape (B, C, H, W), integer pixels 0..intensities-1.

        Returns:
            layer -> activations, shape (B, C, h, w) or (B, C).
        """

    def fit_preprocessing(self, images: Tensor) -> None:
        """Set what the network's normalisation must know of the training images; by default nothing.

        Arguments:
            images: shape (N, C, H, W), the integer images of the encoder split.
        """


def tap_shapes(network: TappedNetwork, image_shape: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Shapes of one image's activations, (C, h, w) or (C,), found by passing one black image.

    Arguments:
        network: the encoder; its mode is left as it was.
        image_shape: (C, H, W).

    Raises:
        UserError: a tap is neither a vector nor a map per image.
    """
    modes = {module: module.training for module in network.modules()}
    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    try:
        with torch.inference_mode():
            found = network.eval().taps(torch.zeros(1, *image_shape, dtype=torch.uint8, device=device))
    finally:
        for module, mode in modes.items():
            module.training = mode
    for layer, activations in found.items():
        if activations.ndim not in (2, 4):
            raise UserError(
                f"The tap {layer} gives activations of shape {tuple(activations.shape)}; a tap must give a "
                "vector (B, C) or a map (B, C, h, w) per image: choose another module."
            )
    return {layer: tuple(found[layer].shape[1:]) for layer in network.layers}
