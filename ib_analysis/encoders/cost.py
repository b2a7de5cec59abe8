"""How many multiply-accumulates a network costs, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ib_analysis.encoders.interface import evaluating
from ib_analysis.encoders.learned_groups import kept_weights

__all__ = ["LayerWork", "layer_works", "multiply_accumulates", "watching"]


@dataclass(frozen=True)
class LayerWork:
    """What one convolution or dense layer does for one image.

    Arguments:
        name: the path of the module.
        macs: multiply-accumulates.
        weights: number of weights, the bias left out.
    """

    name: str
    macs: int
    weights: int


def layer_works(network: nn.Module, image_shape: Sequence[int]) -> tuple[LayerWork, ...]:
    """The work of every convolution and dense layer for one image, in the order in which they are called.

    A convolution costs (output pixels) x (output channels) x (input channels / groups) x (kernel area); a
    dense layer costs inputs x outputs. Of a learned group convolution counts what it has in the end. Padding is
    counted as if it were multiplied, as is usual. A layer that is called more than once is counted as often, its
    weights once.

    Arguments:
        network: takes integer images (B, C, H, W); its mode is left as it was.
        image_shape: (C, H, W).
    """
    names = {module: name for name, module in network.named_modules()}
    macs: dict[str, int] = {}

    def count(module: nn.Module, _: Tensor, output: Tensor) -> None:
        macs[names[module]] = macs.get(names[module], 0) + _macs(module, output)

    with watching(network, count):
        _pass_black_image(network, image_shape)
    return tuple(
        LayerWork(name, count, kept_weights(network.get_submodule(name)))  # type: ignore[arg-type]
        for name, count in macs.items()
    )


def multiply_accumulates(network: nn.Module, image_shape: Sequence[int]) -> int:
    """Multiply-accumulates (MACs) of convolutions and dense layers for one image; all else is left out.

    Arguments:
        network: takes integer images (B, C, H, W); its mode is left as it was.
        image_shape: (C, H, W).
    """
    return sum(work.macs for work in layer_works(network, image_shape))


@contextmanager
def watching(network: nn.Module, see: Callable[[nn.Module, Tensor, Tensor], None]) -> Iterator[None]:
    """Inside the block, ``see(module, input, output)`` is called after each convolution and dense layer; the network is
    in evaluation mode, and as it was afterwards."""
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    handles = [module.register_forward_hook(lambda m, inputs, output: see(m, inputs[0], output)) for module in layers]
    try:
        with evaluating(network):
            yield
    finally:
        for handle in handles:
            handle.remove()


def _macs(module: nn.Module, output: Tensor) -> int:
    if isinstance(module, nn.Conv2d):
        return math.prod(output.shape[2:]) * kept_weights(module)
    assert isinstance(module, nn.Linear)
    return output.numel() // output.shape[0] * module.in_features


def _pass_black_image(network: nn.Module, image_shape: Sequence[int]) -> None:
    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    with torch.inference_mode():
        network(torch.zeros(1, *image_shape, dtype=torch.uint8, device=device))
