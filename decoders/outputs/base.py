"""The interface of output distributions: from the network's features at a pixel to a distribution of its channels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from decoders.config import ImageSpace

__all__ = ["OutputDistribution", "exact"]


@contextmanager
def exact(parameters: Tensor) -> Iterator[Tensor]:
    """Parameters in float32 (float64 stays), and autocast off inside the block: bf16 has 3 digits."""
    if parameters.dtype != torch.float64:
        parameters = parameters.float()
    with torch.autocast(parameters.device.type, enabled=False):
        yield parameters


class OutputDistribution(nn.Module):
    """Distribution of the channels of a pixel; channel c sees the true values of channels 0..c-1.

    Attributes:
        n_parameters: values per pixel, P, that the network must provide.
        n_uniforms: uniform random numbers, K, that one pixel's sample uses.
        init_scale: standard deviation of the parameters after initialisation of the network.
        n_own: values per pixel of the simplest distribution of this kind, which a reader predicts for all pixels at
            once from activations alone; 0 where there is none.
        n_hints: values per pixel that it hands on as a guess at the pixel, scaled as the network's input.
        n_pulls: values per pixel that say how far parameters are pulled towards it.
    """

    n_parameters: int
    n_uniforms: int
    init_scale: float = 1.0
    n_own: int = 0
    n_hints: int = 0
    n_pulls: int = 0

    def __init__(self, image: ImageSpace) -> None:
        super().__init__()
        self.image = image

    def channel_log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Log-probability of each channel given the earlier ones, in nats.

        Arguments:
            parameters: (B, P, H, W), float32 or float64.
            x: (B, C, H, W), int64.

        Returns:
            (B, C, H, W).
        """
        raise TypeError(f"{type(self).__name__} does not define channel_log_prob")

    def own_log_prob(self, own: Tensor, x: Tensor) -> Tensor:
        """Log-probability of every pixel under the simplest distribution, in nats: (B, n_own, H, W) to (B, H, W)."""
        raise TypeError(f"{type(self).__name__} has no simplest distribution")

    def hints(self, own: Tensor) -> Tensor:
        """Its guess at the pixels: (B, n_own, H, W) to (B, n_hints, H, W)."""
        return own[:, :0]

    def pulled(self, parameters: Tensor, own: Tensor, pulls: Tensor) -> Tensor:
        """Parameters (B, P, ...) pulled towards the simplest distribution's; without change where pulls are zero.

        Arguments:
            own: (B, n_own, ...).
            pulls: (B, n_pulls, ...); one means all the way for a mixture's means, and the product of both for logits.
        """
        return parameters

    def sample(self, parameters: Tensor, uniforms: Tensor) -> Tensor:
        """Draw the channels of one pixel per row.

        Arguments:
            parameters: (B, P).
            uniforms: (B, K) in [0, 1).

        Returns:
            (B, C), int64.
        """
        raise TypeError(f"{type(self).__name__} does not define sample")

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Log-probability of every pixel, in nats: (B, P, H, W) and (B, C, H, W) to (B, H, W).

        Computed in float32 even under autocast (in float64 for float64 parameters).
        """
        with exact(parameters) as parameters:
            return self.channel_log_prob(parameters, x).sum(1)
