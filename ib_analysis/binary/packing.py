"""Signs as bits: 64 values of -1 and +1 in a word of 64 bits, and in which order.

A bit is set where the value is +1. Then the product of two vectors of n signs is n - 2 popcount(a xor b): each place
where they differ takes 2 from n. Bits that stand for no value are 0 in both operands and differ nowhere.

A feature map of C channels is kept in *planes*: plane g holds channels 64 g to 64 g + 63, one word per pixel, and the
last plane the rest. The words of a patch, which a convolution multiplies, are made of these (`PatchLayout`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["WORD_BITS", "PackedSigns", "PatchLayout", "pack_bits", "unpack_bits", "weight_words"]

WORD_BITS = 64


def pack_bits(bits: np.ndarray) -> np.ndarray:
    """Words of the last axis.

    Arguments:
        bits: bool, (..., n).

    Returns:
        uint64, (..., ceil(n / 64)): bit j of word w is value 64 w + j; bits without a value are 0.

    >>> pack_bits(np.array([True, False, True])).tolist()
    [5]
    """
    n = bits.shape[-1]
    padded = np.zeros((*bits.shape[:-1], -(-n // WORD_BITS) * WORD_BITS), dtype=bool)
    padded[..., :n] = bits
    return np.packbits(padded, axis=-1, bitorder="little").view("<u8").astype(np.uint64, copy=False)


def unpack_bits(words: np.ndarray, n: int) -> np.ndarray:
    """The inverse of `pack_bits`.

    >>> unpack_bits(np.array([5], dtype=np.uint64), 3).tolist()
    [True, False, True]
    """
    in_bytes = np.ascontiguousarray(words, dtype="<u8").view(np.uint8)
    return np.unpackbits(in_bytes, axis=-1, count=n, bitorder="little").astype(bool)


@dataclass(frozen=True)
class PackedSigns:
    """Signs of a batch of vectors or feature maps.

    Arguments:
        words: uint64, (B, ceil(C / 64), ...): bit j of plane g is channel 64 g + j, 1 for +1; see the module.
        channels: C.
    """

    words: np.ndarray
    channels: int

    def __post_init__(self) -> None:
        planes = -(-self.channels // WORD_BITS)
        if self.words.dtype != np.uint64 or self.words.ndim < 2 or self.words.shape[1] != planes:
            raise ValueError(
                f"{self.channels} channels are {planes} planes of uint64 words, not {self.words.dtype} of shape "
                f"{self.words.shape}"
            )

    @classmethod
    def of(cls, x: Tensor) -> PackedSigns:
        """Packs (B, C) or (B, C, h, w).

        Arguments:
            x: real or whole numbers, of which the signs count, with +1 for 0; or bool, with +1 for True.

        >>> PackedSigns.of(torch.tensor([[0.5, -0.5, 0.0]])).words.tolist()
        [[5]]
        """
        bits = (x if x.dtype == torch.bool else x >= 0).detach().cpu().numpy()
        return cls(np.ascontiguousarray(np.moveaxis(pack_bits(np.moveaxis(bits, 1, -1)), -1, 1)), x.shape[1])

    def unpack(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """-1 and +1 in the shape that was packed.

        >>> PackedSigns.of(torch.tensor([[3.0, -2.0]])).unpack()
        tensor([[ 1., -1.]])
        """
        bits = np.moveaxis(unpack_bits(np.moveaxis(self.words, 1, -1), self.channels), -1, 1)
        return torch.from_numpy(np.ascontiguousarray(bits)).to(dtype) * 2 - 1

    def flatten(self) -> PackedSigns:
        """Vectors in the order of `torch.flatten(x, 1)`."""
        return self if self.words.ndim == 2 else PackedSigns.of(self.unpack(torch.int8).flatten(1))

    @property
    def spatial(self) -> tuple[int, ...]:
        """() for vectors, (h, w) for feature maps."""
        return self.words.shape[2:]


@dataclass(frozen=True)
class PatchLayout:
    """How the words of a patch are made of planes.

    A plane whose words have r bits gives floor(64 / r) of its pixels to each word, so that narrow layers do not
    multiply emptiness: a patch of 3x3 pixels with 16 channels takes 3 words and not 9.

    Arguments:
        channels: of the input.
        height, width: of the patch in pixels.
    """

    channels: int
    height: int
    width: int

    @property
    def planes(self) -> int:
        return -(-self.channels // WORD_BITS)

    def _bits(self, plane: int) -> int:
        return min(WORD_BITS, self.channels - plane * WORD_BITS)

    def _words(self, plane: int) -> int:
        return -(-self.height * self.width // (WORD_BITS // self._bits(plane)))

    @property
    def words(self) -> int:
        """Of a patch."""
        return sum(self._words(plane) for plane in range(self.planes))

    @property
    def n(self) -> int:
        """Signs in a patch: the largest product."""
        return self.channels * self.height * self.width

    def places(self) -> Iterator[tuple[int, int, int, int, int]]:
        """(plane, row, column, word, shift) of each pixel of each plane: its bits lie in a patch's word from a shift.

        >>> list(PatchLayout(channels=24, height=1, width=3).places())
        [(0, 0, 0, 0, 0), (0, 0, 1, 0, 24), (0, 0, 2, 1, 0)]
        """
        first = 0
        for plane in range(self.planes):
            bits = self._bits(plane)
            per_word = WORD_BITS // bits
            for pixel in range(self.height * self.width):
                word, place = divmod(pixel, per_word)
                yield plane, *divmod(pixel, self.width), first + word, place * bits
            first += self._words(plane)


def weight_words(weight: np.ndarray, layout: PatchLayout) -> np.ndarray:
    """Words of each output channel's weights in the order of a patch.

    Arguments:
        weight: bool, (M, C, height, width), True for +1.

    Returns:
        uint64, (M, layout.words).
    """
    planes = pack_bits(np.moveaxis(weight, 1, -1))
    words = np.zeros((len(weight), layout.words), dtype=np.uint64)
    for plane, row, column, word, shift in layout.places():
        words[:, word] |= planes[:, row, column, plane] << np.uint64(shift)
    return words
