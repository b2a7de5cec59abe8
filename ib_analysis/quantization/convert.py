"""From a network of real numbers to the same network with quantized layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ib_analysis.artifacts import UserError
from ib_analysis.encoders.cost import layer_works, watching
from ib_analysis.quantization.formats import number_format, plan
from ib_analysis.quantization.layers import (
    Granularity,
    QuantizedConv2d,
    QuantizedLayer,
    QuantizedLinear,
    Setting,
)

__all__ = ["quantize", "quantized_layers"]


def quantize(
    network: nn.Module,
    name: str,
    image_shape: Sequence[int],
    *,
    start: int,
    overrides: Mapping[str, str] | None = None,
    granularity: Granularity = "channel",
) -> nn.Module:
    """Put quantized layers in the place of a network's convolutions and dense layers; parameters stay the same objects.

    Weights are quantized from the first step on, inputs from step ``start`` on. The input of the first layer, the
    normalised images, can be negative; of the others it is found by passing random images once.

    Arguments:
        network: takes integer images (B, C, H, W); changed in place.
        name: of the number format, see `number_format`.
        image_shape: (C, H, W).
        start: training steps before inputs are quantized; see `start_step`.
        overrides: path of a layer -> name of a format of its own.
        granularity: of the bounds of the inputs, see `Setting`.

    Returns:
        The network.

    Raises:
        UserError: no such format, an override of no layer, a layer that is more than a convolution or dense layer, or a
            grouped convolution that cannot be folded.

    >>> from ib_analysis.encoders import EncoderConfig, ResNetClassifier
    >>> resnet = ResNetClassifier(EncoderConfig(depth=8, width=4), (1, 8, 8), 16, 10, seed=0)
    >>> layers = quantized_layers(quantize(resnet, "w4a4_ends8", (1, 8, 8), start=50))
    >>> [layers[path].setting.layer.weight_bits for path in ("trunk.stem.0", "trunk.stages.0.0.residual.0", "head")]
    [8, 4, 8]
    """
    chosen = number_format(name)
    formats = plan(chosen, [work.name for work in layer_works(network, image_shape)], overrides)
    signed = {*list(formats)[:1], *_with_negative_inputs(network, image_shape)}
    for path, layer_format in formats.items():
        if layer_format.is_quantized:
            original = network.get_submodule(path)
            setting = Setting(layer_format, path in signed, granularity, start)
            parent, _, attribute = path.rpartition(".")
            setattr(network.get_submodule(parent), attribute, _quantized(path, original, setting))
    return network


def quantized_layers(network: nn.Module) -> dict[str, QuantizedLayer]:
    """The quantized layers by their paths."""
    return {name: module for name, module in network.named_modules() if isinstance(module, QuantizedLayer)}


def _quantized(path: str, original: nn.Module, setting: Setting) -> QuantizedLayer:
    if type(original) not in (nn.Conv2d, nn.Linear):
        raise UserError(
            f"{path} is a {type(original).__name__}, which is more than a plain convolution or dense layer and cannot "
            "be quantized; leave it in float32 (quantization.overrides), or build the network of plain layers."
        )
    if isinstance(original, nn.Linear):
        layer: QuantizedLayer = QuantizedLinear(original, setting)
    else:
        assert isinstance(original, nn.Conv2d)
        if original.groups > 1 and setting.granularity == "channel_folded":
            raise UserError(
                f"{path} is a grouped convolution, whose input scales cannot be folded; choose another granularity."
            )
        if original.padding_mode != "zeros" or isinstance(original.padding, str):
            raise UserError(
                f"{path} pads with {original.padding_mode} ({original.padding}); only zeros by number are quantized."
            )
        layer = QuantizedConv2d(original, setting)
    return layer.to(original.weight.device).train(original.training)


def _with_negative_inputs(network: nn.Module, image_shape: Sequence[int]) -> set[str]:
    names = {module: name for name, module in network.named_modules()}
    found = set()

    def see(module: nn.Module, x: Tensor, _: Tensor) -> None:
        if bool((x < 0).any()):
            found.add(names[module])

    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (8, *image_shape), dtype=torch.uint8, generator=generator)
    with watching(network, see), torch.inference_mode():
        network(images.to(device))
    return found
