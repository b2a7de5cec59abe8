"""The quantizers of AQT: real numbers to integer codes, with straight-through gradients.

Source: Abdolrashidi et al. 2021, Pareto-Optimal Quantized ResNet Is Mostly 4-bit (arXiv 2105.03536), section 3.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = [
    "MOST_BITS",
    "fake_quantize_signed",
    "fake_quantize_unsigned",
    "largest_signed_code",
    "largest_unsigned_code",
    "signed_codes",
    "signed_scale",
    "unsigned_codes",
    "unsigned_scale",
    "weight_bound",
]

MOST_BITS = 8
"""Codes fit into one byte: int8 for signed ones, uint8 for unsigned ones."""
_EPS = torch.finfo(torch.float32).eps
"""Added to every bound, so that a channel that is all zeros has a scale."""


def largest_signed_code(bits: int) -> int:
    """2^(bits-1) - 1: signed codes are symmetric, so that one of the 2^bits words is never used.

    Raises:
        ValueError: fewer than 2 bits (1 bit would make everything zero) or more than 8.

    >>> [largest_signed_code(bits) for bits in (2, 4, 8)]
    [1, 7, 127]
    """
    return 2 ** (_checked(bits) - 1) - 1


def largest_unsigned_code(bits: int) -> int:
    """2^bits - 1.

    Raises:
        ValueError: fewer than 2 bits or more than 8.

    >>> [largest_unsigned_code(bits) for bits in (2, 4, 8)]
    [3, 15, 255]
    """
    return 2 ** _checked(bits) - 1


def weight_bound(weight: Tensor) -> Tensor:
    """max|w| of each output channel, the first axis: shape (C_out, 1, ...). No gradient passes."""
    return weight.detach().abs().flatten(1).amax(1).view(-1, *[1] * (weight.ndim - 1))


def signed_scale(bound: Tensor, bits: int) -> Tensor:
    """s = (2^(bits-1) - 1) / (bound + eps), the codes per unit of w; no gradient passes."""
    return largest_signed_code(bits) / (bound.detach() + _EPS)


def unsigned_scale(bound: Tensor, bits: int) -> Tensor:
    """s = 2^bits / (bound + eps), the codes per unit of x; no gradient passes."""
    return (largest_unsigned_code(bits) + 1) / (bound.detach() + _EPS)


def signed_codes(x: Tensor, scale: Tensor, bits: int) -> Tensor:
    """q = clip(floor(x s + 0.5), -m, m) with m = 2^(bits-1) - 1: halves are rounded up.

    Arguments:
        x: any shape.
        scale: broadcasts against x.
        bits: 2 to 8.

    Returns:
        Whole numbers, of x's type. The gradient passes through rounding as if it were not there, and through the clip
        where the rounded number is within its limits, the limits included.

    >>> signed_codes(torch.tensor([-9.0, -0.5, 0.5, 1.4]), torch.tensor(1.0), 4)
    tensor([-7.,  0.,  1.,  1.])
    """
    limit = largest_signed_code(bits)
    return _FloorAndClip.apply(x * scale + 0.5, -limit, limit)


def unsigned_codes(x: Tensor, scale: Tensor, bits: int) -> Tensor:
    """q = clip(floor(x s), 0, 2^bits - 1); see `signed_codes`.

    >>> unsigned_codes(torch.tensor([-1.0, 0.99, 1.0, 20.0]), torch.tensor(1.0), 4)
    tensor([ 0.,  0.,  1., 15.])
    """
    return _FloorAndClip.apply(x * scale, 0, largest_unsigned_code(bits))


def fake_quantize_signed(x: Tensor, bound: Tensor, bits: int) -> Tensor:
    """q / s: the real numbers that signed codes stand for; see `signed_codes`.

    Arguments:
        x: any shape.
        bound: the largest magnitude, broadcasts against x.
        bits: 2 to 8.
    """
    scale = signed_scale(bound, bits)
    return signed_codes(x, scale, bits) / scale


def fake_quantize_unsigned(x: Tensor, bound: Tensor, bits: int) -> Tensor:
    """q / s: the left edge of each number's bin (AQT takes neither its centre nor the nearest level)."""
    scale = unsigned_scale(bound, bits)
    return unsigned_codes(x, scale, bits) / scale


class _FloorAndClip(torch.autograd.Function):
    """clip(floor(x), low, high): floor has the gradient of the identity, the straight-through estimator (Bengio et al.
    2013, arXiv 1308.3432), and the clip its own, which is 1 on the closed range.

    The limits are part of the range because whole bins lie on them. torch.clamp will not do: which gradient it has
    there depends on torch's version.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: int, high: int) -> Tensor:
        rounded = x.floor()
        ctx.save_for_backward((rounded >= low) & (rounded <= high))
        return rounded.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None, None


def _checked(bits: int) -> int:
    if not 2 <= bits <= MOST_BITS:
        raise ValueError(f"AQT integers have 2 to {MOST_BITS} bits, not {bits}")
    return bits
