"""Layers that compute with integers alone: uint8 or int8 inputs times int8 weights, summed in int32."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ib_analysis.quantization.integers import signed_codes, unsigned_codes
from ib_analysis.quantization.layers import QuantizedConv2d, QuantizedLayer

__all__ = ["IntegerLayer", "LayerIntegers", "integers_of"]

_LARGEST_SUM = 2**31 - 1


@dataclass(frozen=True)
class LayerIntegers:
    """All that an integer layer needs.

    Arguments:
        weight: int8 codes, (C_out, C_in, kh, kw) or (C_out, C_in).
        input_scale: float32, (C_in,): codes per unit of each input channel.
        output_scale: float32, (C_out,): what one unit of the sum of products is worth.
        bias: float32, (C_out,), or None.
        weight_bits, activation_bits: 2 to 8.
        signed: whether input codes are int8 (else uint8).
        stride, padding, dilation, groups: of a convolution; None for a dense layer.
    """

    weight: Tensor
    input_scale: Tensor
    output_scale: Tensor
    bias: Tensor | None
    weight_bits: int
    activation_bits: int
    signed: bool
    stride: tuple[int, int] | None = None
    padding: tuple[int, int] | None = None
    dilation: tuple[int, int] | None = None
    groups: int | None = None

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything that is no tensor and not None."""
        found = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in found.items() if value is not None and not isinstance(value, Tensor)}


@torch.no_grad()
def integers_of(layer: QuantizedLayer) -> LayerIntegers:
    """The integers of a layer whose `is_integer` holds."""
    shape = {}
    if isinstance(layer, QuantizedConv2d):
        shape = {name: getattr(layer, name) for name in ("stride", "padding", "dilation", "groups")}
    return LayerIntegers(
        weight=layer.weight_codes().to(torch.int8).cpu(),
        input_scale=layer.inputs.scale(2)[0].cpu(),
        output_scale=layer.output_scale().cpu(),
        bias=None if layer.bias is None else layer.bias.detach().clone().cpu(),
        weight_bits=layer.setting.layer.weight_bits,
        activation_bits=layer.setting.layer.activation_bits,
        signed=layer.setting.signed,
        **shape,
    )


class IntegerLayer(nn.Module):
    """A convolution or dense layer on codes; in evaluation it gives, bit for bit, what the quantized layer gives.

    It multiplies and adds integers, for an exact check of what was exported and not for speed.
    """

    def __init__(self, integers: LayerIntegers) -> None:
        super().__init__()
        self.integers = integers
        products = integers.weight[0].numel() * (2**integers.activation_bits - 1) * 2 ** (integers.weight_bits - 1)
        if products > _LARGEST_SUM:
            raise ValueError(f"sums of {integers.weight[0].numel()} products of codes do not fit into int32")

    def codes(self, x: Tensor) -> Tensor:
        """The input as uint8 (or int8) codes."""
        scale = self.integers.input_scale.view(1, -1, *[1] * (x.ndim - 2))
        codes = (signed_codes if self.integers.signed else unsigned_codes)(x, scale, self.integers.activation_bits)
        return codes.to(torch.int8 if self.integers.signed else torch.uint8)

    def sums(self, codes: Tensor) -> Tensor:
        """int32 sums of products of codes."""
        weight = self.integers.weight.to(torch.int32)
        if self.integers.stride is None:
            return codes.to(torch.int32) @ weight.T
        return _convolve(codes.to(torch.int32), weight, self.integers)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        shape = (1, -1, *[1] * (x.ndim - 2))
        output = self.sums(self.codes(x)).to(x.dtype) * self.integers.output_scale.view(shape)
        return output if self.integers.bias is None else output + self.integers.bias.view(shape)


def _convolve(x: Tensor, weight: Tensor, integers: LayerIntegers) -> Tensor:
    """A convolution as a product of matrices: torch has none for integers."""
    assert integers.stride is not None
    assert integers.padding is not None
    assert integers.dilation is not None
    assert integers.groups is not None
    (down, across), (vertical, horizontal) = integers.stride, integers.padding
    row_step, column_step = integers.dilation
    x = F.pad(x, (horizontal, horizontal, vertical, vertical))
    rows, columns = ((size - 1) * step + 1 for size, step in zip(weight.shape[2:], integers.dilation, strict=True))
    windows = x.unfold(2, rows, down).unfold(3, columns, across)[..., ::row_step, ::column_step]
    found = []
    for inputs, own in zip(windows.chunk(integers.groups, 1), weight.chunk(integers.groups, 0), strict=True):
        patches = inputs.permute(0, 2, 3, 1, 4, 5).flatten(3)  # (B, h, w, C kh kw)
        found.append((patches @ own.flatten(1).T).permute(0, 3, 1, 2))
    return torch.cat(found, 1)
