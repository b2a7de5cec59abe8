"""Convolutions of signs with signs, on packed bits."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ib_analysis.binary import packed_means, packed_reference
from ib_analysis.binary.packed_thresholds import Thresholds
from ib_analysis.binary.packing import WORD_BITS, PackedSigns, PatchLayout, pack_bits

__all__ = ["Geometry", "convolve", "convolve_to_signs"]


@dataclass(frozen=True)
class Geometry:
    """A convolution of signs.

    Arguments:
        channels: of its input.
        kernel: height and width.
        stride: down and across.
        padding: rows above and below, columns left and right.
        padding_sign: what is padded with, -1 or +1; zeros would be a third value.
    """

    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    padding_sign: int = 1

    def __post_init__(self) -> None:
        if self.padding_sign not in (-1, 1):
            raise ValueError(f"signs are padded with -1 or +1, not with {self.padding_sign}")
        if self.channels < 1 or min(*self.kernel, *self.stride) < 1 or min(self.padding) < 0:
            raise ValueError(f"channels, kernel and stride are at least 1 and padding at least 0: {self}")

    @property
    def layout(self) -> PatchLayout:
        return PatchLayout(self.channels, *self.kernel)

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        return height + 2 * self.padding[0], width + 2 * self.padding[1]

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Raises ValueError if the input is smaller than the kernel."""
        rows, columns = self.padded_size(height, width)
        if rows < self.kernel[0] or columns < self.kernel[1]:
            raise ValueError(f"a padded input of {rows}x{columns} pixels is smaller than the kernel {self.kernel}")
        return (rows - self.kernel[0]) // self.stride[0] + 1, (columns - self.kernel[1]) // self.stride[1] + 1


def convolve(x: Tensor | PackedSigns, rows: np.ndarray, geometry: Geometry, threads: int | None = 1) -> Tensor:
    """Products of signs.

    Arguments:
        x: (B, C, h, w): packed, or numbers or bool as `PackedSigns.of` takes them.
        rows: uint64, (M, words): weights as `weight_words` packs them.
        threads: None: as many as torch has.

    Returns:
        int32, (B, M, oh, ow).

    Raises:
        ValueError: x has another number of channels or axes, or is smaller than the kernel.
    """
    batch, plan, kernels = *_planned(x, geometry), packed_means.kernels()
    if kernels is None:
        return torch.from_numpy(_reference(x, rows, geometry, plan))
    padded = _padded(kernels, x, plan, threads)
    found = torch.empty(batch, len(rows), *plan.output, dtype=torch.int32)  # on cache lines, unlike numpy's
    common = (padded.reshape(-1), plan.shape, plan.places, rows, plan.n, found.numpy().reshape(-1))
    packed_means.share(kernels.convolve, _panels(batch, plan, kernels), threads, *common)
    return found


def convolve_to_signs(
    x: Tensor | PackedSigns, rows: np.ndarray, geometry: Geometry, thresholds: Thresholds, threads: int | None = 1
) -> PackedSigns:
    """Signs of what follows the products; see `convolve` and `packed_thresholds`."""
    batch, plan, kernels = *_planned(x, geometry), packed_means.kernels()
    if kernels is None:
        return PackedSigns.of(torch.from_numpy(thresholds.bits(_reference(x, rows, geometry, plan))))
    padded = _padded(kernels, x, plan, threads)
    words = np.empty((batch, -(-len(rows) // WORD_BITS), *plan.output), dtype=np.uint64)
    comparison = (thresholds.values, thresholds.flipped.view(np.uint8))
    common = (padded.reshape(-1), plan.shape, plan.places, rows, plan.n, *comparison, words.reshape(-1))
    packed_means.share(kernels.convolve_to_signs, _panels(batch, plan, kernels), threads, *common)
    return PackedSigns(words, len(rows))


# ---------------------------------------------------------------------------------------------- in numpy


def _reference(x: Tensor | PackedSigns, rows: np.ndarray, geometry: Geometry, plan: _Plan) -> np.ndarray:
    packed = x if isinstance(x, PackedSigns) else PackedSigns.of(x)
    (down, across), (height, width) = geometry.padding, packed.spatial
    padded = np.empty((len(packed.words), *plan.planes), dtype=np.uint64)
    padded[:] = plan.border[:, None, None]
    padded[:, :, down : down + height, across : across + width] = packed.words
    patches = packed_reference.patches(padded, geometry.layout, geometry.stride)
    oh, ow = plan.output
    products = packed_reference.products(rows, patches.reshape(len(padded), rows.shape[1], oh * ow), int(plan.n))
    return products.reshape(len(padded), len(rows), oh, ow)


# ---------------------------------------------------------------------------------------------- compiled


class _Plan(NamedTuple):
    """What the kernels need to know of a convolution of maps of one size; see their arguments.

    Arguments:
        output: height and width.
        planes: number, height and width of an image's planes with their padding.
        places: of each pixel of a patch its word, how far it lies from the patch's first pixel, and its shift.
        n: signs in a patch.
    """

    output: tuple[int, int]
    planes: tuple[int, int, int]
    border: np.ndarray
    frame: tuple[int, int, int, int, int, int]
    shape: tuple[int, int, int, int, int, int]
    places: np.ndarray
    n: np.int32


@functools.lru_cache(maxsize=256)
def _plan(geometry: Geometry, height: int, width: int) -> _Plan:
    layout, output = geometry.layout, geometry.output_size(height, width)
    rows, columns = geometry.padded_size(height, width)
    plane, row, column, word, shift = np.array(list(layout.places()), dtype=np.int64).T
    return _Plan(
        output=output,
        planes=(layout.planes, rows, columns),
        border=pack_bits(np.full(geometry.channels, geometry.padding_sign > 0)),
        frame=(height, width, rows, columns, *geometry.padding),
        shape=(layout.planes * rows * columns, columns, *output, *geometry.stride),
        places=np.ascontiguousarray(np.stack([word, (plane * rows + row) * columns + column, shift], axis=1)),
        n=np.int32(layout.n),
    )


def _planned(x: Tensor | PackedSigns, geometry: Geometry) -> tuple[int, _Plan]:
    """The size of the batch, and the plan."""
    shape = (len(x.words), x.channels, *x.spatial) if isinstance(x, PackedSigns) else tuple(x.shape)
    if len(shape) != 4 or shape[1] != geometry.channels:
        channels = geometry.channels
        raise ValueError(f"a convolution of {channels} channels takes (batch, {channels}, h, w), not {shape}")
    return shape[0], _plan(geometry, shape[2], shape[3])


def _panels(batch: int, plan: _Plan, kernels: ModuleType) -> int:
    return -(-batch * plan.output[0] * plan.output[1] // kernels.PANEL)


def _padded(kernels: ModuleType, x: Tensor | PackedSigns, plan: _Plan, threads: int | None) -> np.ndarray:
    """Planes with their padding, uint64, (B, planes, h, w)."""
    if isinstance(x, PackedSigns) and plan.planes[1:] == x.spatial:
        return np.ascontiguousarray(x.words)
    padded = np.empty((len(x.words) if isinstance(x, PackedSigns) else len(x), *plan.planes), dtype=np.uint64)
    units, common = len(padded) * len(plan.border), (plan.border, padded.reshape(-1), plan.frame)
    if isinstance(x, PackedSigns):
        words = np.ascontiguousarray(x.words).reshape(-1)
        packed_means.share(kernels.pad_planes, units, threads, words, *common)
    else:
        values, at = packed_means.comparable(x)
        comparison = _constant(x.shape[1], at, values.dtype), _constant(x.shape[1], 0, np.dtype(np.uint8))
        packed_means.share(kernels.pack_planes, units, threads, values, *comparison, *common)
    return padded


@functools.lru_cache(maxsize=256)
def _constant(length: int, value: int, dtype: np.dtype[Any]) -> np.ndarray:
    found = np.full(length, value, dtype=dtype)
    found.flags.writeable = False
    return found
