"""The sign with gradients that can be followed, for activations and for weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["approximate_sign", "sign", "sign_of_weights"]


class _Sign(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        return _plain_sign(x)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        (x,) = context.saved_tensors
        return gradients[0] * (2 - 2 * x.abs()).clamp_min(0)


class _SignOfWeights(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, weight: Tensor) -> Tensor:
        context.save_for_backward(weight)
        return _plain_sign(weight)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        (weight,) = context.saved_tensors
        return gradients[0] * (weight.abs() <= 1).to(gradients[0].dtype)


def sign(x: Tensor) -> Tensor:
    """+1 where x >= 0, else -1; shape and dtype of x.

    Its gradient is that of `approximate_sign`: 2 - 2|x| inside [-1, 1], 0 outside (Liu et al. 2018, Bi-Real net, arXiv
    1808.00278).

    >>> x = torch.tensor([-2.0, -0.5, 0.0, 0.25], requires_grad=True)
    >>> signs = sign(x)
    >>> signs.sum().backward()
    >>> signs.tolist(), x.grad.tolist()
    ([-1.0, -1.0, 1.0, 1.0], [0.0, 1.0, 2.0, 1.5])
    """
    return _Sign.apply(x)


def sign_of_weights(weight: Tensor) -> Tensor:
    """+1 where the weight is >= 0, else -1; the gradient passes unchanged where |weight| <= 1 (Courbariaux et al. 2016,
    arXiv 1602.02830).

    >>> sign_of_weights(torch.tensor([0.0, -0.1])).tolist()
    [1.0, -1.0]
    """
    return _SignOfWeights.apply(weight)


def approximate_sign(x: Tensor) -> Tensor:
    """The polynomial whose derivative is the gradient of `sign`: x (2 - |x|) inside [-1, 1], the sign outside.

    What a real-valued twin has in the place of the sign: the twin follows exactly the gradient that a binary network
    follows approximately.

    >>> approximate_sign(torch.tensor([-3.0, -0.5, 0.0, 0.5, 1.0])).tolist()
    [-1.0, -0.75, 0.0, 0.75, 1.0]
    """
    clipped = x.clamp(-1, 1)
    return clipped * (2 - clipped.abs())


def _plain_sign(x: Tensor) -> Tensor:
    one = x.new_ones(())
    return torch.where(x >= 0, one, -one)  # torch.sign has sign(0) = 0, a third value
