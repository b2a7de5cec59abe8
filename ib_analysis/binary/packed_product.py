"""Products and convolutions of packed signs, by the fastest means at hand: compiled (numba) or numpy.

`pip install '.[binary]'` installs numba, which brings its compiler with it. Without it results are the same, but slower
than those of float convolutions, which a warning says once.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import itertools
import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ib_analysis.binary import packed_reference
from ib_analysis.binary.packed_thresholds import Thresholds
from ib_analysis.binary.packing import WORD_BITS, PackedSigns, PatchLayout, pack_bits

__all__ = ["Geometry", "Panels", "convolve", "is_compiled", "multiply"]

PANEL = 16
"""Columns of a panel; see `packed_kernels`."""


def is_compiled() -> bool:
    """Whether products are compiled, since numba is installed."""
    return importlib.util.find_spec("numba") is not None


@functools.cache
def _kernels() -> ModuleType | None:
    if is_compiled():
        return importlib.import_module("ib_analysis.binary.packed_kernels")  # here, since numba is an optional extra
    warnings.warn(
        "numba is not installed, so products of packed signs are computed by numpy, which is slower than float "
        "arithmetic; pip install '.[binary]' installs it.",
        stacklevel=3,
    )
    return None


# ---------------------------------------------------------------------------------------------- convolution


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


def convolve(
    x: Tensor | PackedSigns,
    rows: np.ndarray,
    geometry: Geometry,
    thresholds: Thresholds | None = None,
    threads: int | None = 1,
) -> Tensor | PackedSigns:
    """A convolution of signs with signs.

    Arguments:
        x: (B, C, h, w): packed, or numbers or bool as `PackedSigns.of` takes them.
        rows: uint64, (M, words): weights as `weight_words` packs them.
        thresholds: what the products are compared with; None: they are the result.
        threads: None: as many as torch has.

    Returns:
        int32 products, (B, M, oh, ow); with thresholds the packed signs.

    Raises:
        ValueError: x has another number of channels or axes, or is smaller than the kernel.
    """
    batch, height, width = _feature_map(x, geometry.channels)
    plan, kernels = _plan(geometry, height, width), _kernels()
    oh, ow = plan.output
    if kernels is None:
        padded = _pad(x if isinstance(x, PackedSigns) else PackedSigns.of(x), geometry)
        patches = packed_reference.patches(padded, geometry.layout, geometry.stride)
        products = packed_reference.products(rows, patches.reshape(batch, rows.shape[1], -1), plan.n)
        products = products.reshape(batch, len(rows), oh, ow)
        return torch.from_numpy(products) if thresholds is None else _signs(thresholds, products)
    if not isinstance(x, PackedSigns):
        padded = _packed(kernels, x, plan, threads)
    elif geometry.padding == (0, 0):
        padded = np.ascontiguousarray(x.words)
    else:
        padded = np.empty((batch, *plan.planes), dtype=np.uint64)
        words = np.ascontiguousarray(x.words).reshape(-1)
        units = batch * len(plan.border)
        _share(kernels.pad_planes, units, threads, words, plan.border, padded.reshape(-1), plan.frame)
    panels = -(-batch * oh * ow // PANEL)
    common = (padded.reshape(-1), plan.shape, plan.places, rows, plan.n)
    if thresholds is None:
        found = torch.empty(batch, len(rows), oh, ow, dtype=torch.int32)  # on cache lines, unlike numpy's
        _share(kernels.convolve, panels, threads, *common, found.numpy().reshape(-1))
        return found
    words = np.empty((batch, -(-len(rows) // WORD_BITS), oh, ow), dtype=np.uint64)
    comparison = (thresholds.values, thresholds.flipped.view(np.uint8))
    _share(kernels.convolve_to_signs, panels, threads, *common, *comparison, words.reshape(-1))
    return PackedSigns(words, len(rows))


class _Plan(NamedTuple):
    """What the kernels need to know of a convolution of maps of one size; see their arguments.

    Arguments:
        output: height and width.
        planes: number, height and width of an image's planes with their padding.
        places: of each pixel of a patch its word, how far it lies from the patch's first pixel, and its shift.
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
    plane, row, column, word, shift = layout.table().T
    return _Plan(
        output=output,
        planes=(layout.planes, rows, columns),
        border=pack_bits(np.full(geometry.channels, geometry.padding_sign > 0)),
        frame=(height, width, rows, columns, *geometry.padding),
        shape=(layout.planes * rows * columns, columns, *output, *geometry.stride),
        places=np.ascontiguousarray(np.stack([word, (plane * rows + row) * columns + column, shift], axis=1)),
        n=np.int32(layout.n),
    )


def _feature_map(x: Tensor | PackedSigns, channels: int) -> tuple[int, int, int]:
    """Batch, height and width."""
    packed = isinstance(x, PackedSigns)
    shape = (len(x.words), x.channels, *x.spatial) if packed else tuple(x.shape)
    if len(shape) != 4 or shape[1] != channels:
        raise ValueError(f"a convolution of {channels} channels takes (batch, {channels}, h, w), not {tuple(shape)}")
    return shape[0], shape[2], shape[3]


def _pad(x: PackedSigns, geometry: Geometry) -> np.ndarray:
    (down, across), (height, width) = geometry.padding, x.spatial
    padded = np.empty((*x.words.shape[:2], *geometry.padded_size(height, width)), dtype=np.uint64)
    padded[:] = pack_bits(np.full(geometry.channels, geometry.padding_sign > 0))[:, None, None]
    padded[:, :, down : down + height, across : across + width] = x.words
    return padded


def _packed(kernels: ModuleType, x: Tensor, plan: _Plan, threads: int | None) -> np.ndarray:
    """Planes with their padding."""
    padded = np.empty((x.shape[0], *plan.planes), dtype=np.uint64)
    values, at = _comparable(x)
    comparison = _constant(x.shape[1], at, values.dtype), _constant(x.shape[1], 0, np.dtype(np.uint8))
    units = x.shape[0] * len(plan.border)
    _share(kernels.pack_planes, units, threads, values, *comparison, plan.border, padded.reshape(-1), plan.frame)
    return padded


def _comparable(x: Tensor) -> tuple[np.ndarray, int]:
    """Values, flat, in a type that the kernels read, and from which value on the sign is +1."""
    if x.dtype not in (torch.float32, torch.int32, torch.bool):
        x = x >= 0
    values = x.detach().cpu().contiguous().numpy().reshape(-1)
    return (values.view(np.uint8), 1) if values.dtype == bool else (values, 0)


@functools.lru_cache(maxsize=256)
def _constant(length: int, value: int, dtype: np.dtype[Any]) -> np.ndarray:
    found = np.full(length, value, dtype=dtype)
    found.flags.writeable = False
    return found


def _signs(thresholds: Thresholds, products: np.ndarray) -> PackedSigns:
    return PackedSigns.of(torch.from_numpy(thresholds.bits(products)))


# ---------------------------------------------------------------------------------------------- dense product


@dataclass(frozen=True)
class Panels:
    """Weights of a dense layer, ready to be multiplied.

    Arguments:
        words: uint64, (panels, words of a row, PANEL): outputs lie beside each other.
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
        rows = pack_bits(weight)
        padded = np.zeros((-(-outputs // PANEL) * PANEL, rows.shape[1]), dtype=np.uint64)
        padded[:outputs] = rows
        panels = padded.reshape(-1, PANEL, rows.shape[1]).swapaxes(1, 2)
        return cls(np.ascontiguousarray(panels), n, outputs)


def multiply(
    x: Tensor | PackedSigns, weight: Panels, thresholds: Thresholds | None = None, threads: int | None = 1
) -> Tensor | PackedSigns:
    """A dense product of signs with signs.

    Arguments:
        x: (B, n); else as for `convolve`.

    Returns:
        int32 products, (B, outputs); with thresholds the packed signs.

    Raises:
        ValueError: x has another shape.
    """
    packed = x if isinstance(x, PackedSigns) else None
    shape = tuple(x.shape) if packed is None else (len(packed.words), packed.channels, *packed.spatial)
    if len(shape) != 2 or shape[1] != weight.n:
        raise ValueError(f"a dense product of {weight.n} signs takes (batch, {weight.n}), not {tuple(shape)}")
    kernels = _kernels()
    if kernels is None:
        rows = (PackedSigns.of(x) if packed is None else packed).words
        columns = weight.words.swapaxes(0, 1).reshape(rows.shape[1], -1)
        products = packed_reference.products(rows, columns, weight.n)[:, : weight.outputs]
    else:
        if packed is None:
            values, at = _comparable(x)
            rows = np.empty((shape[0], weight.words.shape[1]), dtype=np.uint64)
            _share(kernels.pack_vectors, shape[0], threads, values, values.dtype.type(at), weight.n, rows)
        else:
            rows = np.ascontiguousarray(packed.words)
        products = np.empty((shape[0], len(weight.words) * PANEL), dtype=np.int32)
        common = (rows, weight.words.reshape(-1), np.int32(weight.n), products.reshape(-1))
        _share(kernels.multiply, len(weight.words), threads, *common)
        products = products[:, : weight.outputs]
    if thresholds is not None:
        return _signs(thresholds, products)
    return torch.from_numpy(np.ascontiguousarray(products))


# ---------------------------------------------------------------------------------------------- threads


def _share(function: Callable[..., None], units: int, threads: int | None, *arguments: Any) -> None:
    """function(*arguments, start, stop) over all units, in as many threads as there are."""
    threads = min(units, torch.get_num_threads() if threads is None else threads)
    if threads <= 1:
        function(*arguments, 0, units)
        return
    bounds = [units * part // threads for part in range(threads + 1)]
    pool = _pool()
    parts = [pool.submit(function, *arguments, start, stop) for start, stop in itertools.pairwise(bounds)]
    for part in parts:
        part.result()


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="packed")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork
