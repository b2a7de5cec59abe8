"""What Shannon's I(X;H) is, or cannot exceed, in a deterministic layer: H(X) where it is injective, else a bracket.

H is a function of X, so that I(X;H) = H(H) <= min(H(X), units x bits of the stored format), with I(X;H) = H(X) where no
two images share their activations. That can be so only where the layer has room for it: units x bits >= H(X).
"""

from __future__ import annotations

import math
from typing import Protocol

__all__ = ["FLOAT_BITS", "Cell", "capacity_bits", "has_room", "holds_all", "upper_bound_bits"]

FLOAT_BITS = 16
"""Bits in which activations that are no codes are stored and measured, unless a table says otherwise: float16."""


class Cell(Protocol):
    """What of a row of information.csv is needed."""

    @property
    def channels(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def code_bits(self) -> int | None: ...
    @property
    def stored_bits(self) -> int | None: ...
    @property
    def h_x_bits(self) -> float | None: ...
    @property
    def null_code_length_bits(self) -> float: ...
    @property
    def distinct_activations(self) -> float | None: ...


def capacity_bits(cell: Cell) -> float:
    """What the activations can hold: units x bits of a code, or of the format that they are stored in."""
    bits = cell.code_bits or cell.stored_bits or FLOAT_BITS
    return float(math.prod((cell.channels, cell.height, cell.width)) * bits)


def upper_bound_bits(cell: Cell) -> float:
    """The lowest upper end of I(X;H) that needs no fit to the layer: capacity, and H(X) or else mean(L0), which is at
    least H(X) in expectation."""
    return min(capacity_bits(cell), _image_bits(cell))


def has_room(cell: Cell) -> bool:
    """Whether the layer can hold every image: H(X), or mean(L0) where it is not known, does not exceed its capacity."""
    return capacity_bits(cell) >= _image_bits(cell)


def holds_all(cell: Cell) -> bool | None:
    """Whether I(X;H) = H(X), as far as can be told: there is room, and no two of the images that were looked at share
    their activations.

    Returns:
        None where it has not been looked at and H(X) is not known, so that room is all that speaks for it; and for
        codes, whose brackets stand in brackets.csv.
    """
    if cell.code_bits is not None:
        return None
    seen = cell.distinct_activations
    if not has_room(cell) or (seen is not None and seen < 1):
        return False
    return True if seen is not None or cell.h_x_bits is not None else None


def _image_bits(cell: Cell) -> float:
    return cell.null_code_length_bits if cell.h_x_bits is None else cell.h_x_bits
