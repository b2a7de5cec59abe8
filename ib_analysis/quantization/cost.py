"""What a network costs in a number format, by the cost models of AQT.

Source: Abdolrashidi et al. 2021 (arXiv 2105.03536), section 4.1. Convolutions and dense layers only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ib_analysis.encoders.cost import LayerWork
from ib_analysis.quantization.formats import LayerFormat

__all__ = ["FormatCost", "format_cost"]

_WIDTHS = (4, 8, 16, 32)
"""Widths of arithmetic units: an operation runs on the narrowest that holds both of its numbers."""


@dataclass(frozen=True)
class FormatCost:
    """Cost of one image, and of the weights.

    Arguments:
        macs: multiply-accumulates.
        quadratic: sum of MACs x bits of weights x bits of activations: area and energy of multipliers.
        linear: sum of MACs x the wider of the two, rounded up to 4, 8, 16 or 32: time on units of these widths.
        memory_bits: sum of weights x their bits.
    """

    macs: int
    quadratic: int
    linear: int
    memory_bits: int


def format_cost(works: Sequence[LayerWork], formats: Mapping[str, LayerFormat]) -> FormatCost:
    """The cost of layers in their formats.

    Arguments:
        works: what each layer does, see `layer_works`.
        formats: path of a layer -> its format, see `plan`.

    >>> layer = LayerWork("conv", macs=1000, weights=10)
    >>> format_cost([layer], {"conv": LayerFormat(weight_bits=4, activation_bits=5)})
    FormatCost(macs=1000, quadratic=20000, linear=8000, memory_bits=40)
    """
    bits = [(work, formats[work.name].weight_bits, formats[work.name].activation_bits) for work in works]
    return FormatCost(
        macs=sum(work.macs for work in works),
        quadratic=sum(work.macs * weight * activation for work, weight, activation in bits),
        linear=sum(work.macs * _width(max(weight, activation)) for work, weight, activation in bits),
        memory_bits=sum(work.weights * weight for work, weight, _ in bits),
    )


def _width(bits: int) -> int:
    return next(width for width in _WIDTHS if width >= bits)
