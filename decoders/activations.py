"""The networks' nonlinearities with hand-written gradients.

torch's ELU evaluates expm1 one element at a time on a CPU and took half of a training step; here one vectorised
exponential serves both halves of the concatenated ELU, and only the output is kept for the gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["concat_elu", "elu", "gated_sum"]


def _empty(like: Tensor, channels: int) -> Tensor:
    layout = torch.channels_last if like.stride(1) == 1 else torch.contiguous_format
    shape = (like.shape[0], channels, like.shape[2], like.shape[3])
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=layout)


class _ConcatELU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        filters = x.shape[1]
        output = _empty(x, 2 * filters)
        # e^-|x| - 1 is the negative branch of elu(x) or of elu(-x), and never above the positive one.
        negative = x.abs().neg_().exp_().sub_(1)
        torch.maximum(x, negative, out=output[:, :filters])
        torch.maximum(x.neg(), negative, out=output[:, filters:])
        ctx.save_for_backward(output)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (output,) = ctx.saved_tensors
        (gradient,) = gradients
        # elu' = 1 on the positive branch, elu + 1 on the negative one.
        scaled = torch.addcmul(gradient, gradient, output.clamp_max(0))
        filters = output.shape[1] // 2
        return scaled[:, :filters] - scaled[:, filters:]


class _GatedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gates: Tensor) -> Tensor:
        a, b = gates.chunk(2, 1)
        opened = b.sigmoid()
        ctx.save_for_backward(gates, opened)
        return torch.addcmul(x, a, opened)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        gates, opened = ctx.saved_tensors
        (gradient,) = gradients
        filters = opened.shape[1]
        result = _empty(gates, 2 * filters)
        by_a = torch.mul(gradient, opened, out=result[:, :filters])
        by_opened = by_a * gates[:, :filters]  # gradient * a * sigmoid(b), still without 1 - sigmoid(b)
        torch.addcmul(by_opened, by_opened, opened, value=-1, out=result[:, filters:])
        return gradient, result


class _ELU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        output = torch.maximum(x, x.clamp_max(0).exp_().sub_(1))
        ctx.save_for_backward(output)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (output,) = ctx.saved_tensors
        (gradient,) = gradients
        return torch.addcmul(gradient, gradient, output.clamp_max(0))


def elu(x: Tensor) -> Tensor:
    """max(x, e^min(x, 0) - 1), element by element, of any shape.

    Example:
        >>> elu(torch.tensor([1.0, -1.0]))
        tensor([ 1.0000, -0.6321])
    """
    result: Tensor = _ELU.apply(x)
    return result


def concat_elu(x: Tensor) -> Tensor:
    """ELU of x and of -x, concatenated over channels (arXiv 1701.05517, released code): (B, F, H, W) to (B, 2F, H, W).

    Example:
        >>> concat_elu(torch.tensor([1.0, -1.0]).view(1, 2, 1, 1)).flatten()
        tensor([ 1.0000, -0.6321, -0.6321,  1.0000])
    """
    result: Tensor = _ConcatELU.apply(x)
    return result


def gated_sum(x: Tensor, gates: Tensor) -> Tensor:
    """x + a * sigmoid(b), with (a, b) the halves of the gates: (B, F, H, W) and (B, 2F, H, W) to (B, F, H, W).

    Example:
        >>> gated_sum(torch.ones(1, 1, 1, 1), torch.tensor([2.0, 0.0]).view(1, 2, 1, 1)).item()
        2.0
    """
    result: Tensor = _GatedSum.apply(x, gates)
    return result
