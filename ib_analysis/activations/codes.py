"""Integer codes of few bits, packed without gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["pack_codes", "pack_rows", "packed_bytes", "unpack_codes", "unpack_rows"]


def packed_bytes(count: int, bits: int) -> int:
    """Bytes that so many codes take.

    >>> packed_bytes(100, 4), packed_bytes(3, 3)
    (50, 2)
    """
    return -(-count * bits // 8)


def pack_codes(codes: np.ndarray, bits: int) -> np.ndarray:
    """Pack whole numbers into as few bytes as they need, the highest bit of each first.

    Arguments:
        codes: any shape; 0 to 2^bits - 1, or -2^(bits-1) to 2^(bits-1) - 1 (kept as two's complement).
        bits: 1 to 8.

    Returns:
        uint8, shape (packed_bytes(codes.size, bits),).

    Raises:
        ValueError: a code does not fit.

    >>> pack_codes(np.array([1, 2, 3, 0]), 2).tolist()
    [108]
    """
    return pack_rows(np.asarray(codes).reshape(1, -1), bits)[0]


def unpack_codes(packed: np.ndarray, shape: Sequence[int], bits: int, signed: bool) -> np.ndarray:
    """The codes again: int8 if signed, else uint8, of the given shape.

    Raises:
        ValueError: the number of bytes does not belong to the shape.

    >>> unpack_codes(pack_codes(np.array([[-2, 1]]), 2), (1, 2), 2, signed=True).tolist()
    [[-2, 1]]
    """
    return unpack_rows(packed[None], shape, bits, signed)[0]


def pack_rows(codes: np.ndarray, bits: int) -> np.ndarray:
    """Pack each row by itself, so that it can be read alone; see `pack_codes`.

    Arguments:
        codes: shape (N, ...).
        bits: 1 to 8.

    Returns:
        uint8, shape (N, packed_bytes(codes of a row, bits)).

    Raises:
        ValueError: a code does not fit.
    """
    if not 1 <= bits <= 8:
        raise ValueError(f"codes have 1 to 8 bits, not {bits}")
    rows = codes.reshape(len(codes), -1).astype(np.int64)
    lowest, highest = (rows.min(), rows.max()) if rows.size else (0, 0)
    if not (lowest >= 0 and highest < 2**bits) and not (-(2 ** (bits - 1)) <= lowest and highest < 2 ** (bits - 1)):
        raise ValueError(f"codes from {lowest} to {highest} do not fit into {bits} bits")
    words = (rows & (2**bits - 1)).astype(np.uint8)
    return np.packbits(np.unpackbits(words[..., None], axis=2)[..., 8 - bits :].reshape(len(rows), -1), axis=1)


def unpack_rows(packed: np.ndarray, shape: Sequence[int], bits: int, signed: bool) -> np.ndarray:
    """The rows again: int8 if signed, else uint8, shape (N, *shape).

    Arguments:
        packed: what `pack_rows` made, shape (N, bytes).
        shape: of one row.

    Raises:
        ValueError: the number of bytes does not belong to the shape.
    """
    count = math.prod(shape)
    if packed.shape[1:] != (packed_bytes(count, bits),):
        raise ValueError(f"{count} codes of {bits} bits take {packed_bytes(count, bits)} bytes, not {packed[0].size}")
    places = np.unpackbits(packed, axis=1, count=count * bits).reshape(len(packed), count, bits)
    words = np.zeros((len(packed), count, 8), dtype=np.uint8)
    words[..., 8 - bits :] = places
    if signed:
        words[..., : 8 - bits] = places[..., :1]  # two's complement: the sign fills the rest
    found = np.packbits(words, axis=2).reshape(len(packed), *shape)
    return found.view(np.int8) if signed else found
