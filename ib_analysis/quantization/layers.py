"""Convolutions and dense layers whose weights and inputs are AQT integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from ib_analysis.quantization.bounds import ActivationBounds
from ib_analysis.quantization.formats import LayerFormat
from ib_analysis.quantization.integers import (
    fake_quantize_signed,
    fake_quantize_unsigned,
    largest_signed_code,
    largest_unsigned_code,
    signed_codes,
    signed_scale,
    unsigned_codes,
    unsigned_scale,
    weight_bound,
)

__all__ = ["Granularity", "InputQuantizer", "QuantizedConv2d", "QuantizedLayer", "QuantizedLinear", "Setting"]

_WHOLE_NUMBERS_OF_FLOAT32 = 2**24

Granularity = Literal["channel", "channel_folded", "tensor"]


@dataclass(frozen=True)
class Setting:
    """How one layer is quantized.

    Arguments:
        layer: bits of weights and inputs.
        signed: whether the input can be negative (the images; all else here follows a ReLU).
        granularity: of the bounds of the input. `channel` is AQT's fake quantization. Its scales lie on the axis that a
            layer sums over, where no integer kernel can apply them: `channel_folded` multiplies the weights by 1/s
            before they are quantized, `tensor` has one bound for all channels; both can be exported as integers.
        start: training steps before inputs are quantized.
    """

    layer: LayerFormat
    signed: bool
    granularity: Granularity
    start: int


class InputQuantizer(nn.Module):
    """The inputs of a layer, as they are until its bounds are set, then quantized."""

    def __init__(self, channels: int, setting: Setting) -> None:
        super().__init__()
        self.bits, self.signed = setting.layer.activation_bits, setting.signed
        self.bounds = ActivationBounds(channels, setting.start, setting.granularity == "tensor")

    @property
    def active(self) -> bool:
        """Whether inputs are quantized."""
        return self.bounds.are_set

    def scale(self, dimensions: int) -> Tensor:
        """Codes per unit, (1, C) or (1, C, 1, 1), for inputs of so many dimensions."""
        scale = (signed_scale if self.signed else unsigned_scale)(self.bounds.bound, self.bits)
        return scale.view(1, -1, *[1] * (dimensions - 2))

    def codes(self, x: Tensor) -> Tensor:
        """Whole numbers, of x's type and shape."""
        return (signed_codes if self.signed else unsigned_codes)(x, self.scale(x.ndim), self.bits)

    def forward(self, x: Tensor) -> Tensor:
        """The real numbers that the codes of x stand for."""
        bound = self.bounds.bound.view(1, -1, *[1] * (x.ndim - 2))
        return (fake_quantize_signed if self.signed else fake_quantize_unsigned)(x, bound, self.bits)


class QuantizedLayer(nn.Module):
    """What the two kinds of layers share; the weights are kept as real numbers and quantized at each pass."""

    weight: Tensor
    bias: Tensor | None

    def _set_up(self, channels: int, setting: Setting) -> None:
        self.setting = setting
        self.inputs = InputQuantizer(channels, setting)

    def _apply_weight(self, x: Tensor, weight: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} does not say how to apply its weight")

    @property
    def is_integer(self) -> bool:
        """Whether the layer is a sum of products of codes, times one scale per output channel."""
        return self.inputs.active and self.setting.granularity != "channel"

    def effective_weight(self) -> Tensor:
        """The real weights that are quantized: with `channel_folded`, those per code of the input."""
        if self.inputs.active and self.setting.granularity == "channel_folded":
            return self.weight / self.inputs.scale(self.weight.ndim)
        return self.weight

    def weight_scale(self) -> Tensor:
        """Codes per unit of the effective weight, (C_out, 1, ...)."""
        return signed_scale(weight_bound(self.effective_weight()), self.setting.layer.weight_bits)

    def weight_codes(self) -> Tensor:
        """Whole numbers, of the weight's shape."""
        return signed_codes(self.effective_weight(), self.weight_scale(), self.setting.layer.weight_bits)

    def output_scale(self) -> Tensor:
        """What one unit of the sum of products of codes is worth, (C_out,); for layers that are integer."""
        scale = 1 / self.weight_scale().flatten()
        return scale / self.inputs.scale(2)[0, 0] if self.setting.granularity == "tensor" else scale

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.inputs.bounds.watch(x)
        if self.is_integer:
            sums = self._sum_of_products(self.inputs.codes(x))
            shape = (1, -1, *[1] * (x.ndim - 2))
            output = sums * self.output_scale().view(shape)
            return output if self.bias is None else output + self.bias.view(shape)
        weight = fake_quantize_signed(self.weight, weight_bound(self.weight), self.setting.layer.weight_bits)
        output = self._apply_weight(self.inputs(x) if self.inputs.active else x, weight)
        return output if self.bias is None else output + self.bias.view(1, -1, *[1] * (x.ndim - 2))

    def _sum_of_products(self, codes: Tensor) -> Tensor:
        """Sums of products of codes; exact whole numbers in evaluation mode."""
        weight = self.weight_codes()
        if self.training or (codes.device.type == "cpu" and self._fits_float32(weight)):
            return self._apply_weight(codes, weight)
        return self._apply_weight(codes.double(), weight.double()).round().to(codes.dtype)

    def _fits_float32(self, weight: Tensor) -> bool:
        """Whether no partial sum can leave the whole numbers that float32 holds, in whatever order it is made."""
        bits = self.setting.layer.activation_bits
        largest = largest_signed_code(bits) if self.setting.signed else largest_unsigned_code(bits)
        return largest * float(weight.detach().abs().flatten(1).sum(1).max()) < _WHOLE_NUMBERS_OF_FLOAT32


class QuantizedConv2d(QuantizedLayer, nn.Conv2d):
    """A convolution that takes the place, and the parameters, of another one."""

    def __init__(self, original: nn.Conv2d, setting: Setting) -> None:
        super().__init__(
            original.in_channels,
            original.out_channels,
            original.kernel_size,  # type: ignore[arg-type]
            original.stride,  # type: ignore[arg-type]
            original.padding,  # type: ignore[arg-type]
            original.dilation,  # type: ignore[arg-type]
            original.groups,
            original.bias is not None,
            device="meta",
        )
        self.weight, self.bias = original.weight, original.bias
        self._set_up(original.in_channels, setting)

    def _apply_weight(self, x: Tensor, weight: Tensor) -> Tensor:
        return nn.functional.conv2d(x, weight, None, self.stride, self.padding, self.dilation, self.groups)


class QuantizedLinear(QuantizedLayer, nn.Linear):  # type: ignore[misc]
    """A dense layer that takes the place, and the parameters, of another one."""

    def __init__(self, original: nn.Linear, setting: Setting) -> None:
        super().__init__(original.in_features, original.out_features, original.bias is not None, device="meta")
        self.weight, self.bias = original.weight, original.bias
        self._set_up(original.in_features, setting)

    def _apply_weight(self, x: Tensor, weight: Tensor) -> Tensor:
        return nn.functional.linear(x, weight)
