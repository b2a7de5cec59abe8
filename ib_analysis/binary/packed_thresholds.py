"""What stands between a product of signs and the next signs, folded into one whole number per channel.

A product d of n signs is one of n + 1 whole numbers: -n, -n + 2, ..., n. Whatever follows it up to the next sign
(scale, bias, batch normalisation, shift, a monotone nonlinearity) is therefore known from its values at these, and if
they change their sign at most once, sign(f(d)) is a comparison of d with a whole number. This is exact: the
comparison is read off f itself, in the arithmetic in which f is computed, and not from a formula for its root.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Thresholds", "batch_norm_thresholds", "fold"]

_AT_ONCE = 1 << 22
"""Values of f computed at once, to bound memory."""


@dataclass(frozen=True)
class Thresholds:
    """sign(f(d)) per channel: +1 where d >= value, or where d < value if it is flipped (f falls).

    Arguments:
        values: int32, (M,).
        flipped: bool, (M,).
    """

    values: np.ndarray
    flipped: np.ndarray

    def bits(self, products: np.ndarray) -> np.ndarray:
        """Whether the sign is +1.

        Arguments:
            products: whole numbers, (B, M, ...).
        """
        shape = (-1, *[1] * (products.ndim - 2))
        return (products >= self.values.reshape(shape)) ^ self.flipped.reshape(shape)


def fold(function: Callable[[Tensor], Tensor], channels: int, n: int) -> Thresholds:
    """Thresholds of a function of products that is monotone in each channel.

    Arguments:
        function: of a float64 tensor of shape (V, channels), value by value; it may compute in any type.
        channels: M.
        n: signs in a product.

    Raises:
        ValueError: the sign changes more than once in a channel, or a value is not a number.

    >>> fold(lambda d: torch.tensor([1.0, -1.0]) * (d - 2), channels=2, n=4)
    Thresholds(values=array([2, 4], dtype=int32), flipped=array([False,  True]))
    """
    possible = torch.arange(-n, n + 1, 2, dtype=torch.float64)
    positive = np.empty((n + 1, channels), dtype=bool)
    at_once = max(1, _AT_ONCE // channels)
    for start in range(0, n + 1, at_once):
        some = possible[start : start + at_once, None].expand(-1, channels)
        found = function(some).detach()
        if found.isnan().any():
            raise ValueError("what follows the product is not a number for some of its values")
        positive[start : start + at_once] = (found >= 0).numpy()
    changes = (positive[1:] != positive[:-1]).sum(0)
    if changes.max(initial=0) > 1:
        channel = int(changes.argmax())
        raise ValueError(
            f"what follows the product changes its sign {changes[channel]} times in channel {channel}; only functions "
            "that are monotone in each channel fold into a threshold"
        )
    # The number of leading values with the first one's sign is where the other sign begins.
    flipped = positive[0].copy()
    alike = np.where(flipped, positive, ~positive).sum(0)
    return Thresholds((2 * alike - n).astype(np.int32), flipped)


def batch_norm_thresholds(
    norm: nn.BatchNorm1d | nn.BatchNorm2d, n: int, scale: Tensor | None = None, bias: Tensor | None = None
) -> Thresholds:
    """Thresholds of batch normalisation in evaluation: gamma (scale d + bias - mean) / sqrt(var + eps) + beta >= 0.

    Computed in float64 and without the division, which would round: the sign is that of
    gamma (scale d + bias - mean) + beta sqrt(var + eps). Where gamma is 0 it is beta's, with +1 for 0. A network that
    computes in float32 may fall on the other side where this is nearly 0; to have its own arithmetic, give `fold` the
    network's layer.

    Arguments:
        norm: with running statistics.
        n: signs in a product.
        scale: of each channel before it, (M,); None: 1.
        bias: of each channel before it, (M,); None: 0.

    Raises:
        ValueError: the normalisation keeps no running statistics.
    """
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise ValueError("batch normalisation without running statistics is no fixed function of a product")
    channels = norm.num_features

    def wide(value: Tensor | None, default: float) -> Tensor:
        found = torch.full((channels,), default) if value is None else value
        return found.detach().cpu().to(torch.float64).flatten()

    gamma, beta = wide(norm.weight, 1.0), wide(norm.bias, 0.0)
    scale, bias = wide(scale, 1.0), wide(bias, 0.0)
    deviation = (wide(variance, 1.0) + norm.eps).sqrt()
    mean = wide(mean, 0.0)
    return fold(lambda d: gamma * (scale * d + bias - mean) + beta * deviation, channels, n)
