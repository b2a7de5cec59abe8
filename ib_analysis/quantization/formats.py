"""Number formats by name, and which layer of a network gets which."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ib_analysis.artifacts import UserError
from ib_analysis.quantization.integers import MOST_BITS

__all__ = ["BINARY", "ENDS_BITS", "LayerFormat", "NumberFormat", "number_format", "plan"]

ENDS_BITS = 8
"""Bits of the first and the last layer in a format that ends with `_ends8`."""
_FLOATS = {"float32": 32, "bfloat16": 16}
BINARY = "binary"
"""The format of a network whose weights and activations are signs; only the architecture `binary` has it."""
_INTEGERS = re.compile(r"w(\d+)a(\d+)(_ends8)?")


@dataclass(frozen=True)
class LayerFormat:
    """Bits of one layer's weights and of its inputs.

    Arguments:
        weight_bits, activation_bits: 1 where they are signs, 2 to 8 where quantized otherwise, 16 or 32 for numbers
            that stay floating-point.
    """

    weight_bits: int
    activation_bits: int

    @property
    def is_quantized(self) -> bool:
        """Whether weights and inputs are integer codes, or signs."""
        return self.weight_bits <= MOST_BITS


@dataclass(frozen=True)
class NumberFormat:
    """The format of a network.

    Arguments:
        name: as the user wrote it.
        inner: of all layers, but
        ends: of the first and the last one.
    """

    name: str
    inner: LayerFormat
    ends: LayerFormat

    @property
    def is_quantized(self) -> bool:
        """Whether any layer has integer codes, or signs."""
        return self.inner.is_quantized or self.ends.is_quantized

    @property
    def is_binary(self) -> bool:
        """Whether weights and activations are signs."""
        return self.name == BINARY


def number_format(name: str) -> NumberFormat:
    """A format by its name: ``float32``, ``bfloat16``, ``w4a8`` (bits of weights and activations of all layers), or
    ``w4a4_ends8``, with 8 bits in the first and the last layer: the best of Abdolrashidi et al. 2021.

    ``bfloat16`` is trained in float32 and costed at 16 bits. ``binary`` has signs for weights and activations.

    Raises:
        UserError: no such format, or a width that AQT does not have.

    >>> number_format("w4a4_ends8").inner, number_format("w4a4_ends8").ends
    (LayerFormat(weight_bits=4, activation_bits=4), LayerFormat(weight_bits=8, activation_bits=8))
    """
    if name in _FLOATS:
        layer = LayerFormat(_FLOATS[name], _FLOATS[name])
        return NumberFormat(name, layer, layer)
    if name == BINARY:
        return NumberFormat(name, LayerFormat(1, 1), LayerFormat(1, 1))
    found = _INTEGERS.fullmatch(name)
    if found is None:
        raise UserError(
            f"There is no number format {name!r}; choose {', '.join(_FLOATS)}, {BINARY}, or integers such as w8a8, "
            "w4a4, w2a2 or w4a4_ends8 (bits of weights and activations; ends8: 8 bits in the first and last layer)."
        )
    bits = int(found[1]), int(found[2])
    if not all(2 <= width <= MOST_BITS for width in bits):
        raise UserError(
            f"The number format {name!r} has {bits[0]}-bit weights and {bits[1]}-bit activations; each must have 2 to "
            f"{MOST_BITS} bits (with 1 bit every AQT weight would be zero)."
        )
    layer = LayerFormat(*bits)
    return NumberFormat(name, layer, LayerFormat(ENDS_BITS, ENDS_BITS) if found[3] else layer)


def plan(
    chosen: NumberFormat, layers: Sequence[str], overrides: Mapping[str, str] | None = None
) -> dict[str, LayerFormat]:
    """Which layer gets which format.

    Arguments:
        chosen: the network's format.
        layers: paths of its convolutions and dense layers, in the order in which they are called.
        overrides: path of a layer -> name of a format of its own. They belong to quantized formats: with `float32` and
            `bfloat16`, which such formats are compared with, all layers stay as they are.

    Raises:
        UserError: an override of a layer that does not exist, or to a format that does not exist.

    >>> found = plan(number_format("w4a4_ends8"), ["stem", "middle", "head"], {"middle": "float32"})
    >>> [found[layer].weight_bits for layer in ("stem", "middle", "head")]
    [8, 32, 8]
    """
    formats = dict.fromkeys(layers, chosen.inner)
    formats.update(dict.fromkeys((layers[0], layers[-1]), chosen.ends) if layers else {})
    for layer, name in (overrides or {}).items():
        if layer not in formats:
            close = ", ".join(difflib.get_close_matches(layer, layers, n=3, cutoff=0.0)) or "none"
            raise UserError(
                f"The quantization plan names the layer {layer!r}, which the network does not have; the nearest of its "
                f"convolutions and dense layers: {close}."
            )
        if chosen.is_quantized:
            formats[layer] = number_format(name).inner
    return formats
