"""Integer layers on the 8-bit kernels of this processor (oneDNN, which comes with torch): for time, not for checks.

Codes of 8 bits and fewer are multiplied as 8-bit integers: there are no narrower kernels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ib_analysis.artifacts import UserError
from ib_analysis.quantization.convert import quantized_layers
from ib_analysis.quantization.integer_layers import IntegerLayer, LayerIntegers, integers_of

__all__ = ["KernelLayer", "has_integer_kernels", "on_integer_kernels"]


def has_integer_kernels() -> bool:
    """Whether torch was built with them, for this processor."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.onednn, "qconv2d_pointwise")


class KernelLayer(IntegerLayer):
    """The same products as those of an `IntegerLayer`, made by one call of a compiled kernel.

    Arguments:
        integers: of the layer.

    Raises:
        UserError: this processor has no kernel for it.
    """

    def __init__(self, integers: LayerIntegers) -> None:
        super().__init__(integers)
        if not has_integer_kernels():
            raise UserError("this machine's torch has no 8-bit kernels (oneDNN), and times of integers need them.")
        self._is_dense = integers.stride is None
        # A dense layer is a convolution of one pixel, for which the kernels are the same.
        self._weight = (integers.weight[:, :, None, None] if self._is_dense else integers.weight).contiguous()
        self._geometry = (
            integers.stride or (1, 1), integers.padding or (0, 0), integers.dilation or (1, 1), integers.groups or 1
        )  # fmt: skip
        self._scales = integers.output_scale.float()
        self._zeros = torch.zeros(len(self._weight), dtype=torch.int32)
        # The kernels take unsigned inputs only: signed codes are shifted, and the shift is told as their zero.
        self._shift = 128 if integers.signed else 0
        self._packed_for: tuple[int, ...] = ()
        self._packed = self._pack(None)

    def _pack(self, shape: list[int] | None) -> Tensor:
        """The weights in the order that the kernels want for an input of this shape, (B, C, H, W)."""
        packed: Tensor = torch.ops.onednn.qconv_prepack(
            self._weight, self._scales, 1.0, self._shift, *self._geometry, shape
        )
        return packed

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Arguments: x: float32, (B, C, H, W) or (B, C). Returns: float32, as the quantized layer gives."""
        codes = self.codes(x)
        if self._shift:
            codes = (codes.to(torch.int16) + self._shift).to(torch.uint8)
        if self._is_dense:
            codes = codes[:, :, None, None]
        if codes.shape != self._packed_for:
            # The best order of weights depends on the input's shape: in another one they are ordered anew in every
            # call, which takes several times as long as the products (96 to 96 channels on 4x4 pixels: 5 times).
            self._packed, self._packed_for = self._pack(list(codes.shape)), tuple(codes.shape)
        output = torch.ops.onednn.qconv2d_pointwise(
            codes, 1.0, self._shift, self._packed, self._scales, self._zeros, self.integers.bias, *self._geometry,
            1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return output.flatten(1) if self._is_dense else output


def on_integer_kernels(network: nn.Module) -> nn.Module:
    """Let the quantized layers of a network run on integer kernels; layers that stay floating-point run as they are.

    Arguments:
        network: its bounds of activations are set; bounds of a granularity that integers can apply
            (`channel_folded`, `tensor`). Changed in place.

    Returns:
        The network, in evaluation mode on the CPU.

    Raises:
        ValueError: bounds are not set.
        UserError: a granularity that no integer kernel can apply, or there are no kernels.
    """
    found = network.cpu().eval()
    for path, layer in quantized_layers(found).items():
        if not layer.inputs.active:
            raise ValueError(f"the bounds of {path} are not set yet: train the network first")
        if not layer.is_integer:
            raise UserError(
                f"quantization.granularity is {layer.setting.granularity}, whose scales no integer kernel can apply; "
                "choose channel_folded or tensor."
            )
        parent, _, attribute = path.rpartition(".")
        setattr(found.get_submodule(parent), attribute, KernelLayer(integers_of(layer)))
    return found
