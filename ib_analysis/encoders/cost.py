"""How many multiply-accumulates a network costs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["multiply_accumulates"]


def multiply_accumulates(network: nn.Module, image_shape: Sequence[int]) -> int:
    """Multiply-accumulates (MACs) of convolutions and dense layers for one image; all else is left out.

    A convolution costs (output pixels) x (output channels) x (input channels / groups) x (kernel area); a
    dense layer costs inputs x outputs. Padding is counted as if it were multiplied, as is usual.

    Arguments:
        network: takes integer images (B, C, H, W); its mode is left as it was.
        image_shape: (C, H, W).
    """
    total = 0

    def count(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            pixels = math.prod(output.shape[2:])
            total += pixels * module.out_channels * module.in_channels // module.groups * math.prod(module.kernel_size)
        elif isinstance(module, nn.Linear):
            total += output.numel() // output.shape[0] * module.in_features

    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    modes = {module: module.training for module in network.modules()}
    handles = [module.register_forward_hook(count) for module in network.modules()]
    try:
        with torch.inference_mode():
            network.eval()(torch.zeros(1, *image_shape, dtype=torch.uint8, device=device))
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    return total
