"""Dense products of signs with signs, on packed bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ib_analysis.binary import packed_means, packed_reference
from ib_analysis.binary.packed_thresholds import Thresholds
from ib_analysis.binary.packing import PackedSigns, pack_bits

__all__ = ["Panels", "multiply", "multiply_to_signs"]


@dataclass(frozen=True)
class Panels:
    """Weights of a dense layer, ready to be multiplied.

    Arguments:
        words: uint64, (panels, words of a row, outputs of a panel): as many outputs lie beside each other as the
            compiled product takes at once, or one where there is none.
        n: inputs.
        outputs: how many; the last panel may hold more, all zero.
    """

    words: np.ndarray
    n: int
    outputs: int

    @classmethod
    def of(cls, weight: np.ndarray) -> Panels:
        """From bool, (outputs, n), True for +1."""
        outputs, n = weight.shape
        rows, kernels = pack_bits(weight), packed_means.kernels()
        panel = 1 if kernels is None else kernels.PANEL
        padded = np.zeros((-(-outputs // panel) * panel, rows.shape[1]), dtype=np.uint64)
        padded[:outputs] = rows
        panels = padded.reshape(-1, panel, rows.shape[1]).swapaxes(1, 2)
        return cls(np.ascontiguousarray(panels), n, outputs)


def multiply(x: Tensor | PackedSigns, weight: Panels, threads: int | None = 1) -> Tensor:
    """Products of signs.

    Arguments:
        x: (B, n): packed, or numbers or bool as `PackedSigns.of` takes them.
        threads: None: as many as torch has.

    Returns:
        int32, (B, outputs).

    Raises:
        ValueError: x has another shape.
    """
    return torch.from_numpy(np.ascontiguousarray(_products(x, weight, threads)))


def multiply_to_signs(
    x: Tensor | PackedSigns, weight: Panels, thresholds: Thresholds, threads: int | None = 1
) -> PackedSigns:
    """Signs of what follows the products; see `multiply` and `packed_thresholds`."""
    products, kernels = _products(x, weight, threads), packed_means.kernels()
    if kernels is None:
        return PackedSigns.of(torch.from_numpy(thresholds.bits(products)))
    flips = pack_bits(thresholds.flipped)
    words = np.empty((len(products), len(flips)), dtype=np.uint64)
    above = (products - thresholds.values).reshape(-1)
    packed_means.share(kernels.pack_vectors, len(words), threads, above, np.int32(0), weight.outputs, words)
    return PackedSigns(words ^ flips, weight.outputs)


def _products(x: Tensor | PackedSigns, weight: Panels, threads: int | None) -> np.ndarray:
    shape = (len(x.words), x.channels, *x.spatial) if isinstance(x, PackedSigns) else tuple(x.shape)
    if len(shape) != 2 or shape[1] != weight.n:
        raise ValueError(f"a dense product of {weight.n} signs takes (batch, {weight.n}), not {shape}")
    kernels = packed_means.kernels()
    if kernels is None:
        rows = (x if isinstance(x, PackedSigns) else PackedSigns.of(x)).words
        columns = weight.words.swapaxes(0, 1).reshape(rows.shape[1], -1)
        return packed_reference.products(rows, columns, weight.n)[:, : weight.outputs]
    if isinstance(x, PackedSigns):
        rows = np.ascontiguousarray(x.words)
    else:
        values, at = packed_means.comparable(x)
        rows = np.empty((len(x), weight.words.shape[1]), dtype=np.uint64)
        packed_means.share(kernels.pack_vectors, len(x), threads, values, values.dtype.type(at), weight.n, rows)
    products = np.empty((len(rows), len(weight.words) * weight.words.shape[2]), dtype=np.int32)
    common = (rows, weight.words.reshape(-1), np.int32(weight.n), products.reshape(-1))
    packed_means.share(kernels.multiply, len(weight.words), threads, *common)
    return products[:, : weight.outputs]
