"""The building blocks of PixelCNN++: weight-normalised causal convolutions, concatenated ELU, gated residual blocks.

Two streams keep the order of the pixels. The *upper* stream sees rows above a pixel: its convolutions reach one row
up and one column to both sides. The *left* stream sees rows above and pixels to the left: its convolutions reach one
row up and one column to the left. Sources: Salimans et al. 2017 (arXiv 1701.05517), Salimans and Kingma 2016
(arXiv 1602.07868).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decoders.activations import concat_elu, gated_sum
from decoders.dropout import Dropout
from decoders.matrices import Matrix

__all__ = ["GatedBlock", "Stream", "UpsamplingConvolution", "WeightNormConvolution", "module_list"]

Stream = Literal["upper", "left", "pointwise"]

# Kernel size of a stream's convolutions, and padding (left, right, top, bottom) that keeps them causal.
_KERNELS: dict[Stream, tuple[int, int]] = {"upper": (2, 3), "left": (2, 2), "pointwise": (1, 1)}
_PADDINGS: dict[Stream, tuple[int, int, int, int]] = {
    "upper": (1, 1, 1, 0),
    "left": (1, 0, 1, 0),
    "pointwise": (0, 0, 0, 0),
}


class _WeightNorm(nn.Module):
    """A linear map whose weight is direction times gain, one gain and bias per output channel.

    Weight w = gain * direction / |direction| (Salimans and Kingma 2016, equation 2).
    """

    def __init__(self, shape: tuple[int, int, int, int], output_axis: int, init_scale: float) -> None:
        super().__init__()
        self.output_axis = output_axis
        self.init_scale = init_scale
        self.initialising = False
        self.direction = nn.Parameter(torch.randn(shape) * 0.05)
        self.gain = nn.Parameter(torch.ones(shape[output_axis]))
        self.bias = nn.Parameter(torch.zeros(shape[output_axis]))
        self.matrices = {"direction": Matrix(output_axis, unit_rows=True)}
        self._others = tuple(axis for axis in range(4) if axis != output_axis)
        self._broadcast = tuple(-1 if axis == output_axis else 1 for axis in range(4))

    def weight(self) -> Tensor:
        """The normalised weight, shaped like the direction."""
        norm = torch.linalg.vector_norm(self.direction, dim=self._others, keepdim=True)
        return self.direction * (self.gain.view(self._broadcast) / norm)

    def apply_weight(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} does not say how to apply its weight")

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, H, W); while initialising, set gain and bias so that the output is normalised.

        The normalised output is returned then too, so that the layers above are set from what they will see.
        """
        if self.initialising:
            with torch.no_grad():
                self.gain.fill_(1.0)
                self.bias.zero_()
                output = self.apply_weight(x, self.weight(), self.bias).transpose(0, 1).flatten(1)
                deviation, mean = torch.std_mean(output, 1, correction=0)
                # An output that never varies (a pixel without predecessors) has no scale to normalise.
                deviation = torch.where(deviation > 1e-6, deviation, 1.0)
                self.gain.copy_(self.init_scale / deviation)
                self.bias.copy_(-mean * self.gain)
        return self.apply_weight(x, self.weight(), self.bias)


class WeightNormConvolution(_WeightNorm):
    """A causal convolution of a stream; stride 2 goes to the next coarser resolution.

    Arguments:
        inputs, outputs: channels.
        stream: kernel and padding; `pointwise` is 1x1.
        stride: 1 or 2.
        init_scale: standard deviation of the output after initialisation.
        kernel, padding: replace the stream's own; padding is (left, right, top, bottom), negative crops.
        shift: moves the output (down, right) by pixels, zeros move in.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stream: Stream,
        *,
        stride: int = 1,
        init_scale: float = 1.0,
        kernel: tuple[int, int] | None = None,
        padding: tuple[int, int, int, int] | None = None,
        shift: tuple[int, int] = (0, 0),
    ) -> None:
        kernel = kernel or _KERNELS[stream]
        super().__init__((outputs, inputs, *kernel), 0, init_scale)
        self.stride = stride
        self.padding = _PADDINGS[stream] if padding is None else padding
        self.shift = shift

    def apply_weight(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        left, right, top, bottom = self.padding
        if left == right and top == 1 and bottom == 0 and self.stride == 1:
            # Padding inside the convolution and dropping the last row is much faster than padding before it.
            return F.conv2d(x, weight, bias, padding=(1, left))[:, :, :-1]
        if any(self.padding):
            x = F.pad(x, self.padding)
        return F.conv2d(x, weight, bias, self.stride)

    def forward(self, x: Tensor) -> Tensor:
        output = super().forward(x)
        down, right = self.shift
        return F.pad(output, (right, -right, down, -down)) if down or right else output


class UpsamplingConvolution(_WeightNorm):
    """A causal transposed convolution with stride 2: to the next finer resolution, (H, W) to (2H, 2W).

    Coarse pixel (i, j) reaches fine rows 2i and 2i+1 and fine columns 2j and 2j+1 (and 2j-1 in the upper stream).
    """

    def __init__(self, inputs: int, outputs: int, stream: Stream) -> None:
        super().__init__((inputs, outputs, *_KERNELS[stream]), 1, 1.0)
        self.crop = 1 if stream == "upper" else 0

    def apply_weight(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.conv_transpose2d(x, weight, bias, 2, (0, self.crop), (0, self.crop))


def module_list(modules: Iterable[nn.Module]) -> Any:
    """An `nn.ModuleList` of one kind of layer; typed loosely, since torch types its elements as any module."""
    return nn.ModuleList(modules)


class GatedBlock(nn.Module):
    """x + a * sigmoid(b), with (a, b) two convolutions away from x (section 2.4 of the paper).

    Arguments:
        filters: channels of x.
        stream: the stream of x.
        auxiliary: channels of the second input (another stream, a shortcut) before concat_elu; 0 for none.
        dropout: probability of zeroing, element by element.
        init_scale: standard deviation of (a, b) after initialisation.
    """

    def __init__(self, filters: int, stream: Stream, auxiliary: int, dropout: float, init_scale: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.first = WeightNormConvolution(2 * filters, filters, stream)
        self.auxiliary = WeightNormConvolution(2 * auxiliary, filters, "pointwise") if auxiliary else None
        self.second = WeightNormConvolution(2 * filters, 2 * filters, stream, init_scale=init_scale)

    def forward(
        self, x: Tensor, activated: Tensor, auxiliary: Tensor | None = None, term: Tensor | None = None
    ) -> Tensor:
        """Transform x.

        Arguments:
            x: (B, F, H, W).
            activated: concat_elu(x), (B, 2F, H, W): the caller needs it more than once.
            auxiliary: the second input after concat_elu, (B, 2A, H, W).
            term: what the condition adds before the gate, (B, 2F, H, W).
        """
        hidden = self.first(activated)
        if self.auxiliary is not None:
            hidden = hidden + self.auxiliary(auxiliary)
        gates = self.second(self.dropout(concat_elu(hidden)))
        if term is not None:
            gates = gates + term
        return gated_sum(x, gates)
