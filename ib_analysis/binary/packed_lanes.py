"""Vectors of words for compiled code: the few operations that a product of packed signs is made of.

Numba compiles loops over single words and leaves it to LLVM to find vectors in them, which it does not where sums
are to stay in registers. Here a vector is a value of its own: LLVM turns its operations into whatever the processor
has (`vpopcntq` of AVX-512, shuffles of AVX2, `cnt` of NEON).

Needs numba; `packed_means` asks whether it is there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.registry import cpu_target
from numba.extending import intrinsic as typed_intrinsic
from numba.extending import register_model

__all__ = [
    "LANES",
    "add_differing",
    "add_shifted",
    "add_signs",
    "broadcast",
    "load",
    "store",
    "store_products",
    "word_of_signs",
    "zero",
]


intrinsic: Any = typed_intrinsic
"""Without its types: the functions are called without their first argument, which numba adds."""


def _lanes() -> int:
    """Words in a vector: as many as fill a register of AVX-512 or AVX2; LLVM splits them on narrower ones."""
    _, _, features = cpu_target.target_context.codegen().magic_tuple()  # what numba compiles for
    return 8 if "+avx512f" in features.split(",") else 4


LANES = _lanes()
_WORDS = ir.VectorType(ir.IntType(64), LANES)


class _Lanes(types.Type):
    """`LANES` words."""

    def __init__(self) -> None:
        super().__init__(name=f"Lanes({LANES})")


_LANES_TYPE = _Lanes()


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: types.Type) -> None:
        super().__init__(manager, numba_type, _WORDS)


def _address(context: Any, builder: Any, array_type: Any, array: Any, position: Any, vector: Any) -> Any:
    """Where an element of an array in C order lies, as the place of a vector."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [position]), vector.as_pointer())


def _splat(builder: Any, value: Any, vector: ir.VectorType) -> Any:
    undefined = ir.Constant(vector, ir.Undefined)
    single = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    places = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
    return builder.shuffle_vector(single, undefined, places)


def _reached(context: Any, builder: Any, array_type: Any, array: Any, position: Any, threshold: Any, lanes: int) -> Any:
    """Of so many elements, whether each is at least the threshold."""
    element = array_type.dtype
    vector = ir.VectorType(context.get_value_type(element), lanes)
    address = _address(context, builder, array_type, array, position, vector)
    values = builder.load(address, align=element.bitwidth // 8)
    if isinstance(element, types.Float):
        compare = builder.fcmp_ordered
    else:
        compare = builder.icmp_signed if element.signed else builder.icmp_unsigned
    return compare(">=", values, _splat(builder, threshold, vector))


@intrinsic
def zero(typing_context: Any) -> tuple[Any, Callable[..., Any]]:
    """A vector of zeros."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_WORDS, None)

    return _LANES_TYPE(), generate


@intrinsic
def load(typing_context: Any, array: Any, position: Any) -> tuple[Any, Callable[..., Any]] | None:
    """`LANES` words of an array in C order, from a position in its flat form."""
    if not isinstance(array, types.Array) or array.dtype != types.uint64 or array.layout != "C":
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_address(context, builder, array, arguments[0], arguments[1], _WORDS), align=8)

    return _LANES_TYPE(array, types.intp), generate


@intrinsic
def broadcast(typing_context: Any, word: Any) -> tuple[Any, Callable[..., Any]]:
    """The same word everywhere."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, arguments[0], _WORDS)

    return _LANES_TYPE(types.uint64), generate


@intrinsic
def add_differing(typing_context: Any, total: Any, a: Any, b: Any) -> tuple[Any, Callable[..., Any]] | None:
    """total + popcount(a xor b), word by word."""
    if not all(isinstance(value, _Lanes) for value in (total, a, b)):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        total, a, b = arguments
        name = f"llvm.ctpop.v{LANES}i64"
        count = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_WORDS, [_WORDS]), name)
        return builder.add(total, builder.call(count, [builder.xor(a, b)]))

    return _LANES_TYPE(_LANES_TYPE, _LANES_TYPE, _LANES_TYPE), generate


@intrinsic
def add_shifted(typing_context: Any, total: Any, a: Any, shift: Any) -> tuple[Any, Callable[..., Any]] | None:
    """total | (a << shift), with the same shift everywhere."""
    if not isinstance(total, _Lanes) or not isinstance(a, _Lanes):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        total, a, shift = arguments
        return builder.or_(total, builder.shl(a, _splat(builder, shift, _WORDS)))

    return _LANES_TYPE(_LANES_TYPE, _LANES_TYPE, types.uint64), generate


@intrinsic
def add_signs(
    typing_context: Any, total: Any, array: Any, position: Any, threshold: Any, bit: Any
) -> tuple[Any, Callable[..., Any]] | None:
    """total with a bit set in each lane where array[position + lane] >= threshold.

    Arguments:
        array: float32, int32 or uint8, in C order.
        threshold: of the array's type.
        bit: a word with that bit.
    """
    if not isinstance(array, types.Array) or array.layout != "C":
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        total, place, position, threshold, bit = arguments
        reached = _reached(context, builder, array, place, position, threshold, LANES)
        return builder.or_(total, builder.select(reached, _splat(builder, bit, _WORDS), ir.Constant(_WORDS, None)))

    return _LANES_TYPE(_LANES_TYPE, array, types.intp, array.dtype, types.uint64), generate


@intrinsic
def word_of_signs(
    typing_context: Any, array: Any, position: Any, threshold: Any
) -> tuple[Any, Callable[..., Any]] | None:
    """A word whose bit j is whether array[position + j] >= threshold; see `add_signs`."""
    if not isinstance(array, types.Array) or array.layout != "C":
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, position, threshold = arguments
        reached = _reached(context, builder, array, place, position, threshold, lanes=64)
        return builder.bitcast(reached, ir.IntType(64))

    return types.uint64(array, types.intp, array.dtype), generate


@intrinsic
def store(typing_context: Any, array: Any, position: Any, value: Any) -> tuple[Any, Callable[..., Any]] | None:
    """The reverse of `load`."""
    if not isinstance(array, types.Array) or array.dtype != types.uint64 or array.layout != "C":
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, array, arguments[0], arguments[1], _WORDS)
        builder.store(arguments[2], address, align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, _LANES_TYPE), generate


@intrinsic
def store_products(
    typing_context: Any, array: Any, position: Any, n: Any, differing: Any
) -> tuple[Any, Callable[..., Any]] | None:
    """array[position + lane] = n - 2 differing[lane], in an int32 array in C order."""
    if not isinstance(array, types.Array) or array.dtype != types.int32 or array.layout != "C":
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, position, n, differing = arguments
        narrow = ir.VectorType(ir.IntType(32), LANES)
        twice = builder.shl(builder.trunc(differing, narrow), ir.Constant(narrow, [1] * LANES))
        products = builder.sub(_splat(builder, n, narrow), twice)
        address = _address(context, builder, array, place, position, narrow)
        builder.store(products, address, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int32, _LANES_TYPE), generate
