"""Which operations of torch are products of matrices, which only move numbers, and what each product multiplies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["MOVES", "PRODUCTS", "REDUCTIONS", "Operands", "broadcast_product", "factors", "is_known", "shared_axes"]


@dataclass(frozen=True)
class Operands:
    """What one product multiplies.

    Arguments:
        left, right: the tensors.
        macs: multiply-adds of the product.
        fills_with_zeros: whether zeros come in that are in neither tensor: padding, or the gaps of transposed
            convolutions.
    """

    left: Tensor
    right: Tensor
    macs: int
    fills_with_zeros: bool = False


_Reader = Callable[[Sequence[Any], Tensor], Operands]


def _matrices(first: int, second: int) -> _Reader:
    """Of a product whose operands are its arguments at these places; the inner axis is the last of the first one."""

    def read(arguments: Sequence[Any], output: Tensor) -> Operands:
        left, right = arguments[first], arguments[second]
        return Operands(left, right, output.numel() * (left.shape[-1] if left.ndim else 1))

    return read


def _convolution(padding: int | None, transposed: int | None = None) -> _Reader:
    """Of a convolution, whose padding, and whether it is a transposed one, stand at these places."""

    def read(arguments: Sequence[Any], output: Tensor) -> Operands:
        def given(place: int | None, otherwise: Any) -> Any:
            return otherwise if place is None or place >= len(arguments) else arguments[place]

        x, weight = arguments[0], arguments[1]
        edge, is_transposed = given(padding, 0), bool(given(transposed, False))
        pads = edge != "valid" if isinstance(edge, str) else any([edge] if isinstance(edge, int) else edge)
        per_output = weight.numel() // weight.shape[0]  # of a transposed one: per input
        macs = (x if is_transposed else output).numel() * per_output
        return Operands(x, weight, macs, pads or is_transposed)

    return read


def _summed(arguments: Sequence[Any], output: Tensor) -> Operands:
    """Of an einsum, whose operands are a list; a third one is multiplied by the product of two."""
    left, right = arguments[1][0], arguments[1][-1]
    return Operands(left, right, max(left.numel(), right.numel(), output.numel()))


# Without a gradient most of these arrive as convolution, mm, addmm and bmm; in inference mode as they were called.
PRODUCTS: dict[str, _Reader] = {
    "convolution": _convolution(4, 6),
    "_convolution": _convolution(4, 6),
    "convolution_overrideable": _convolution(4, 6),
    "conv1d": _convolution(4),
    "conv2d": _convolution(4),
    "conv3d": _convolution(4),
    "conv_transpose1d": _convolution(None),
    "conv_transpose2d": _convolution(None),
    "conv_transpose3d": _convolution(None),
    "mkldnn_convolution": _convolution(3),
    "cudnn_convolution": _convolution(2),
    "mm": _matrices(0, 1),
    "bmm": _matrices(0, 1),
    "mv": _matrices(0, 1),
    "dot": _matrices(0, 1),
    "vdot": _matrices(0, 1),
    "matmul": _matrices(0, 1),
    "linear": _matrices(0, 1),
    "inner": _matrices(0, 1),
    "addmm": _matrices(1, 2),
    "addmv": _matrices(1, 2),
    "addbmm": _matrices(1, 2),
    "baddbmm": _matrices(1, 2),
    "_addmm_activation": _matrices(1, 2),
    "outer": _matrices(0, 1),
    "ger": _matrices(0, 1),
    "addr": _matrices(1, 2),
    "einsum": _summed,
}
"""Name of an operation -> how its operands are read."""

_MOVES = (
    "alias arange as_strided cat channel_shuffle chunk clone contiguous constant_pad_nd copy copy_ detach empty "
    "empty_like empty_strided expand fill fill_ flip full full_like gather hstack index index_select lift lift_fresh "
    "narrow native_channel_shuffle new_empty new_empty_strided new_full new_ones new_zeros ones ones_like pad permute "
    "pixel_shuffle pixel_unshuffle repeat reshape scalar_tensor select select_copy set_ slice split split_with_sizes "
    "squeeze stack t tile transpose unbind unflatten unfold im2col unsafe_split unsqueeze upsample_nearest1d "
    "upsample_nearest2d view _reshape_alias _to_copy _unsafe_view _unsafe_index to zeros zeros_like equal "
    "_local_scalar_dense item is_nonzero is_same_size _has_compatible_shallow_copy_type"
)
MOVES = frozenset(_MOVES.split())
"""Operations that only move numbers, or make constants."""

_REDUCTIONS = (
    "_adaptive_avg_pool2d _native_batch_norm_legit _native_batch_norm_legit_no_training _softmax _log_softmax "
    "adaptive_avg_pool2d all amax amin any argmax argmin avg_pool1d avg_pool2d batch_norm cudnn_batch_norm cumsum "
    "dropout layer_norm max max_pool2d max_pool2d_with_indices mean min native_batch_norm native_dropout "
    "native_group_norm native_layer_norm prod rms_norm softmax std sum topk upsample_bilinear2d upsample_bicubic2d var "
    "var_mean _upsample_bilinear2d_aa miopen_batch_norm _batch_norm_impl_index _batch_norm_no_update "
    "_batch_norm_with_update prelu _prelu_kernel"
)
REDUCTIONS = frozenset(_REDUCTIONS.split())
"""Operations on real numbers that are not element by element and multiply no matrices."""


def is_known(operation: torch._ops.OpOverload) -> bool:
    """Whether it is certain that an operation that is not among the products multiplies no matrices."""
    name = operation.overloadpacket.__name__
    return name in MOVES or name in REDUCTIONS or torch.Tag.pointwise in operation.tags


_SCALED = {
    "native_batch_norm": 1,
    "_native_batch_norm_legit": 1,
    "_native_batch_norm_legit_no_training": 1,
    "native_group_norm": 1,
    "native_layer_norm": 2,
    "prelu": 1,
    "_prelu_kernel": 1,
}
"""Name of an operation that scales elements besides -> place of the scales."""


def factors(name: str, arguments: Sequence[Any]) -> tuple[Tensor, Tensor] | None:
    """The two tensors that an elementwise product multiplies; None of another operation, or of a product by numbers.

    Quotients, interpolations and the scales of normalisations are products like any other.
    """
    plain = name.rstrip("_")
    if plain in ("mul", "div", "true_divide"):
        pair = tuple(arguments[:2])
    elif plain in ("addcmul", "addcdiv"):
        pair = tuple(arguments[1:3])
    elif plain == "lerp" and isinstance(arguments[2], Tensor):
        pair = (arguments[1] - arguments[0], arguments[2])
    elif name in _SCALED:
        pair = (arguments[0], _scales(name, arguments))
    else:
        return None
    if len(pair) < 2 or not all(isinstance(one, Tensor) and one.ndim for one in pair):
        return None
    return pair[0], pair[1]


def _scales(name: str, arguments: Sequence[Any]) -> Tensor | None:
    """What an operation multiplies its first argument by, in a shape that goes with it."""
    scales = arguments[_SCALED[name]]
    if "batch_norm" in name and isinstance(arguments[4], Tensor):  # the variances
        scales = arguments[4].rsqrt() if scales is None else scales * arguments[4].rsqrt()
    if scales is None or name == "native_layer_norm" or scales.ndim != 1:
        return scales
    return scales.view(-1, *[1] * (arguments[0].ndim - 2))


def broadcast_product(pair: tuple[Tensor, Tensor], output: Tensor) -> Operands | None:
    """The operands of an elementwise product that gives more numbers than either has: a product of matrices before its
    sum. A scale per channel gives as many numbers as it is applied to, and is none.
    """
    if output.numel() <= max(_own_numbers(pair[0]), _own_numbers(pair[1])):
        return None
    return Operands(*pair, output.numel())


def shared_axes(pair: tuple[Tensor, Tensor], output: Tensor) -> frozenset[int]:
    """The axes of an elementwise product over which a sum would make it a product of matrices: those on which both
    factors vary."""
    return _varies(pair[0], output) & _varies(pair[1], output)


def _varies(x: Tensor, output: Tensor) -> frozenset[int]:
    before = output.ndim - x.ndim
    return frozenset(before + axis for axis in range(x.ndim) if x.shape[axis] > 1 and x.stride(axis) != 0)


def _own_numbers(x: Tensor) -> int:
    """Numbers of a tensor, without repetitions by `expand`."""
    return math.prod(size for size, stride in zip(x.shape, x.stride(), strict=True) if stride != 0)
