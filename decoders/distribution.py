"""What a decoder gives: a distribution over images, with exact log-probabilities and exact samples."""

from __future__ import annotations

import torch
from torch import Tensor

from decoders.outputs.base import exact
from decoders.sampling.network import CausalNetwork
from decoders.sampling.sample import sample_cached

__all__ = ["ImageDistribution"]


class ImageDistribution:
    """A distribution over images under fixed conditions; made by calling a decoder.

    Attributes:
        network: the decoder.
        terms: what the condition adds before the gates: per resolution and block (B or 1, 2F, H, W); None without
            cells.
        batch_size: number of images B, if known.
        fixed: whether every image has its own condition, so that `log_prob` takes exactly B images.
    """

    def __init__(
        self, network: CausalNetwork, terms: list[tuple[Tensor, ...]] | None, batch_size: int | None, fixed: bool
    ) -> None:
        self.network = network
        self.terms = terms
        self.batch_size = batch_size
        self.fixed = fixed

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-probability of images, in nats: (B, C, H, W) integers of any dtype to (B,).

        Raises:
            ValueError: wrong shape, values out of range, or another number of images than conditions.
        """
        return self.network.output.log_prob(self._parameters(x), x.long()).sum((1, 2))

    def channel_log_prob(self, x: Tensor) -> Tensor:
        """Log-probability of each channel of each pixel given all that come before it, in nats.

        By the chain rule, in raster order (rows from the top, each from the left) and in the order of the channels
        inside a pixel; the sum over an image is its `log_prob` up to rounding.

        Arguments:
            x: (B, C, H, W) integers of any dtype.

        Returns:
            (B, C, H, W), float32 (float64 for a float64 decoder).

        Raises:
            ValueError: as for `log_prob`.
        """
        return self.log_prob_with_channels(x)[1]

    def log_prob_with_channels(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`log_prob`, (B,), and `channel_log_prob`, (B, C, H, W), of one pass through the network.

        Raises:
            ValueError: as for `log_prob`.
        """
        output, parameters = self.network.output, self._parameters(x)
        with exact(parameters) as exact_parameters:
            by_channel = output.channel_log_prob(exact_parameters, x.long())
        return output.log_prob(parameters, x.long()).sum((1, 2)), by_channel

    def _parameters(self, x: Tensor) -> Tensor:
        """The output distribution's parameters for images: (B, C, H, W) to (B, P, H, W)."""
        if self.fixed and len(x) != self.batch_size:
            raise ValueError(f"{len(x)} images do not fit {self.batch_size} conditions")
        return self.network.output_parameters(self.network.input_features(x), self.terms)

    def sample(self, generator: torch.Generator | None = None, uniforms: Tensor | None = None) -> Tensor:
        """Draw images exactly, pixel by pixel, with cached features; dropout is off.

        Arguments:
            generator: source of the random numbers, on the decoder's device; the global one if None.
            uniforms: (B, H, W, K) in [0, 1) to use instead, K = `network.output.n_uniforms`.

        Returns:
            (B, C, H, W), uint8.
        """
        return sample_cached(self, generator, uniforms)
