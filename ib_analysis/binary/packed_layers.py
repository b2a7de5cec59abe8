"""Convolutions and dense layers that run on packed bits.

A layer takes numbers (of which the signs count), bool or packed signs, and gives whole-numbered products; with
thresholds it gives packed signs, so that a chain of layers never leaves the bits. Layers run on the CPU and have no
gradient; they are made from trained weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ib_analysis.binary.packed_convolution import Geometry, convolve, convolve_to_signs
from ib_analysis.binary.packed_dense import Panels, multiply, multiply_to_signs
from ib_analysis.binary.packed_thresholds import Thresholds
from ib_analysis.binary.packing import PackedSigns, pack_bits, unpack_bits, weight_words

__all__ = ["PackedConv2d", "PackedLinear"]


class _PackedLayer(nn.Module):
    """What both kinds of layers share: weights as bits, and thresholds.

    Buffers are `weight_bits`, uint64, all weights in their own order with no gaps but in the last word, and, with
    thresholds, `threshold_values` and `threshold_flipped` (see `Thresholds`).
    """

    weight_bits: Tensor

    def __init__(self, weight: Tensor, thresholds: Thresholds | None, threads: int | None) -> None:
        super().__init__()
        if not ((weight == 1) | (weight == -1)).all():
            raise ValueError("packed weights are -1 or +1; scale factors belong into what follows the product")
        self.shape = tuple(weight.shape)
        self.threads = threads
        self.register_buffer("weight_bits", torch.from_numpy(pack_bits(_positive(weight).reshape(-1))))
        self.thresholds = thresholds
        if thresholds is not None:
            if len(thresholds.values) != self.shape[0]:
                raise ValueError(
                    f"{self.shape[0]} output channels need as many thresholds, not {len(thresholds.values)}"
                )
            self.register_buffer("threshold_values", torch.from_numpy(thresholds.values.copy()))
            self.register_buffer("threshold_flipped", torch.from_numpy(thresholds.flipped.copy()))
        self._prepare()
        self.register_load_state_dict_post_hook(_prepare_again)

    def _prepare(self) -> None:
        """Everything that follows from the buffers."""
        if self.thresholds is not None:
            values, flipped = self.get_buffer("threshold_values"), self.get_buffer("threshold_flipped")
            self.thresholds = Thresholds(values.cpu().numpy(), flipped.cpu().numpy())
        self._arrange(unpack_bits(self.weight_bits.cpu().numpy(), int(np.prod(self.shape))).reshape(self.shape))

    def _arrange(self, weight: np.ndarray) -> None:
        """Weights, bool, in the order in which products read them."""
        raise NotImplementedError

    @property
    def weight(self) -> Tensor:
        """-1 and +1, float32, in the shape that was given."""
        bits = unpack_bits(self.weight_bits.cpu().numpy(), int(np.prod(self.shape)))
        return torch.from_numpy(bits).float().reshape(self.shape) * 2 - 1

    @property
    def stored_bytes(self) -> int:
        """Of the weights in a file: a 32nd of float32, the last word rounded up."""
        return self.weight_bits.numel() * self.weight_bits.element_size()

    @property
    def running_bytes(self) -> int:
        """Of the weights as products read them, where every output begins with a word of its own."""
        raise NotImplementedError


def _prepare_again(module: nn.Module, _: Any) -> None:
    assert isinstance(module, _PackedLayer)
    module._prepare()


def _positive(weight: Tensor) -> np.ndarray:
    return (weight > 0).detach().cpu().numpy()


class PackedConv2d(_PackedLayer):
    """A convolution of signs, equal to `F.conv2d` of the signs padded with -1 or +1.

    Arguments:
        weight: -1 and +1, (M, C, kh, kw).
        stride, padding: of both axes, or (down, across).
        padding_sign: what is padded with, -1 or +1.
        thresholds: makes the layer give signs; see `packed_thresholds`.
        threads: None: as many as torch has.

    Raises:
        ValueError: a weight that is no sign, another padding than by signs, or another number of thresholds; when
            called, an input of another shape.

    >>> layer = PackedConv2d(torch.ones(1, 2, 3, 3), padding=1)
    >>> layer(-torch.ones(1, 2, 1, 2))
    tensor([[[[10, 10]]]], dtype=torch.int32)
    """

    def __init__(
        self,
        weight: Tensor,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        padding_sign: int = 1,
        thresholds: Thresholds | None = None,
        threads: int | None = 1,
    ) -> None:
        if weight.ndim != 4:
            raise ValueError(f"weights of a convolution have 4 axes, not {weight.ndim}")
        kernel = (weight.shape[2], weight.shape[3])
        self.geometry = Geometry(weight.shape[1], kernel, _pair(stride), _pair(padding), padding_sign)
        super().__init__(weight, thresholds, threads)

    def _arrange(self, weight: np.ndarray) -> None:
        self._rows = weight_words(weight, self.geometry.layout)

    @property
    def running_bytes(self) -> int:
        return self._rows.nbytes

    def forward(self, x: Tensor | PackedSigns) -> Tensor | PackedSigns:
        if self.thresholds is None:
            return convolve(x, self._rows, self.geometry, self.threads)
        return convolve_to_signs(x, self._rows, self.geometry, self.thresholds, self.threads)

    def extra_repr(self) -> str:
        return f"{self.shape[1]}, {self.shape[0]}, {self.geometry}, signs={self.thresholds is not None}"


class PackedLinear(_PackedLayer):
    """A dense layer of signs, equal to `F.linear` of the signs.

    Arguments:
        weight: -1 and +1, (M, n).
        thresholds, threads: see `PackedConv2d`.

    Raises:
        ValueError: as `PackedConv2d`. Packed feature maps are flattened as `torch.flatten` does.

    >>> PackedLinear(torch.tensor([[1.0, -1.0, 1.0]]))(torch.tensor([[0.3, -2.0, -1.0]]))
    tensor([[1]], dtype=torch.int32)
    """

    def __init__(self, weight: Tensor, thresholds: Thresholds | None = None, threads: int | None = 1) -> None:
        if weight.ndim != 2:
            raise ValueError(f"weights of a dense layer have 2 axes, not {weight.ndim}")
        super().__init__(weight, thresholds, threads)

    def _arrange(self, weight: np.ndarray) -> None:
        self._panels = Panels.of(weight)

    @property
    def running_bytes(self) -> int:
        return self._panels.words.nbytes

    def forward(self, x: Tensor | PackedSigns) -> Tensor | PackedSigns:
        vectors = x.flatten() if isinstance(x, PackedSigns) else x
        if self.thresholds is None:
            return multiply(vectors, self._panels, self.threads)
        return multiply_to_signs(vectors, self._panels, self.thresholds, self.threads)

    def extra_repr(self) -> str:
        return f"{self.shape[1]}, {self.shape[0]}, signs={self.thresholds is not None}"


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value
