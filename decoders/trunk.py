"""Reading activations deeply: residual convolutions at the activations' own resolution and at every finer one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from decoders.activations import elu
from decoders.config import ReaderArchitecture
from decoders.grid import depth_to_space, grid_of
from decoders.readings import LayerReading

__all__ = ["Trunk", "squashed"]


class _ResidualPair(nn.Module):
    """x + conv(elu(conv(elu(x)))) / 2, 3x3, with orthogonal kernels: the gain of a stack stays near one."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(filters, filters, 3, padding=1)
        self.second = nn.Conv2d(filters, filters, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.5 * self.second(elu(self.first(elu(x))))


_STEADY = 3.0
_FARTHEST = 1e4
_WIDEST_DENSE = 256


def squashed(x: Tensor) -> Tensor:
    """Standardised activations with what is large made small: x up to 3 deviations, 3 + log(|x| - 2) beyond, any shape.

    Monotone and smooth, so that nothing is lost as it is where values are clipped, and yet a unit at 50 deviations,
    which no training image had, is read as if it were at 7.

    >>> [round(value, 2) for value in squashed(torch.tensor([-1.0, 3.0, 10.0, -50.0])).tolist()]
    [-1.0, 3.0, 5.08, -6.87]
    """
    size = x.abs()
    return torch.where(size > _STEADY, x.sign() * (_STEADY + torch.log1p((size - _STEADY).clamp_min(0))), x)


def _laid_out(inputs: int, outputs: int) -> nn.Module:
    """A dense map of a vector; a wide vector goes through fewer units, or its weights would be most of a reader."""
    if inputs <= _WIDEST_DENSE:
        return nn.Linear(inputs, outputs)
    return nn.Sequential(nn.Linear(inputs, _WIDEST_DENSE), nn.Linear(_WIDEST_DENSE, outputs))


def _prime_factors(number: int) -> list[int]:
    """
    >>> _prime_factors(12), _prime_factors(1)
    ([2, 2, 3], [])
    """
    found, divisor = [], 2
    while number > 1:
        while number % divisor == 0:
            found.append(divisor)
            number //= divisor
        divisor += 1
    return found


def _steps(pixels: tuple[int, int]) -> list[tuple[int, int]]:
    """By what factors a grid grows to the image, a step at a time.

    >>> _steps((4, 4)), _steps((4, 2)), _steps((1, 1))
    ([(2, 2), (2, 2)], [(2, 2), (2, 1)], [])
    """
    down, right = _prime_factors(pixels[0]), _prime_factors(pixels[1])
    length = max(len(down), len(right))
    down, right = (factors + [1] * (length - len(factors)) for factors in (down, right))
    return list(zip(down, right, strict=True))


class Trunk(LayerReading):
    """A layer's activations to feature maps of the image's size.

    Every cell enters by weights of its own: a map through a 3x3 convolution, a vector through a dense map that lays it
    out to about 4x4 places; residual pairs of its own may follow (`own_blocks`). Large values are `squashed` before.
    Maps then pass residual pairs at their own resolution and grow by sub-pixel convolutions (Shi et al. 2016, arXiv
    1609.05158), with further pairs at every resolution; coarser ones have more feature maps. Vectors go from their few
    places to every pixel at once: what they tell is little, and the deep way costs more than it finds. All cells of the
    layer share everything behind what is their own, but for a scale and shift per feature map at the end (FiLM, Perez
    et al. 2018, arXiv 1709.07871).

    Arguments:
        shape: (C, h, w) or (C,) of the activations.
        n_cells: cells of this layer.
        image: (H, W) of the image.
        chosen: how wide and deep.
    """

    largest: ClassVar[float] = _FARTHEST

    def __init__(
        self, shape: tuple[int, ...], n_cells: int, image: tuple[int, int], chosen: ReaderArchitecture
    ) -> None:
        super().__init__(shape, n_cells)
        self.grid = grid_of(shape, image)

        def width(magnification: int) -> int:
            return min(chosen.largest_width, chosen.width * magnification)

        steps = _steps(self.grid.pixels)
        if not self.grid.is_map:
            steps = [self.grid.pixels] if self.grid.pixels != (1, 1) else []
        # How much finer the image still is than each resolution, on the side that has furthest to go.
        (down, right), left = self.grid.pixels, [max(self.grid.pixels)]
        for step in steps:
            down, right = down // step[0], right // step[1]
            left.append(max(down, right))
        if self.grid.is_map:
            inputs = shape[0] * self.grid.fold[0] * self.grid.fold[1]
            self.entries: nn.ModuleList = nn.ModuleList(
                nn.Conv2d(inputs, width(left[0]), 3, padding=1) for _ in range(n_cells)
            )
        else:
            places = self.grid.size[0] * self.grid.size[1]
            self.entries = nn.ModuleList(_laid_out(shape[0], width(left[0]) * places) for _ in range(n_cells))
        if chosen.own_blocks:
            self.entries = nn.ModuleList(self._with_pairs(entry, width(left[0]), chosen) for entry in self.entries)
        depths = [chosen.blocks if magnification == 1 else chosen.coarse_blocks for magnification in left]
        if not self.grid.is_map and steps:
            depths[0] = 0
        self.pairs = nn.ModuleList(
            nn.Sequential(*(_ResidualPair(width(magnification)) for _ in range(depth)))
            for magnification, depth in zip(left, depths, strict=True)
        )
        self.steps = steps
        self.growths = nn.ModuleList(
            nn.Conv2d(width(before), width(after) * step[0] * step[1], 1)
            for before, after, step in zip(left, left[1:], steps, strict=False)
        )
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.orthogonal_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        self.cell_scale = nn.Parameter(torch.zeros(n_cells, chosen.width))
        self.cell_shift = nn.Parameter(torch.zeros(n_cells, chosen.width))

    def _with_pairs(self, entry: nn.Module, filters: int, chosen: ReaderArchitecture) -> nn.Module:
        """A cell's entry and the residual pairs that it has for itself."""
        places = [] if self.grid.is_map else [nn.Unflatten(1, (filters, *self.grid.size))]
        return nn.Sequential(entry, *places, *(_ResidualPair(filters) for _ in range(chosen.own_blocks)))

    def cell_parameters(self) -> list[tuple[Tensor, Tensor]]:
        """Scale and shift of every cell; its entry is a module of its own."""
        return list(zip(self.cell_scale.unbind(0), self.cell_shift.unbind(0), strict=True))

    def take_cell(self, index: int, source: LayerReading, other: int) -> None:
        """See `LayerReading`."""
        assert isinstance(source, Trunk)
        super().take_cell(index, source, other)
        self.entries[index].load_state_dict(source.entries[other].state_dict())

    def read(self, parts: Sequence[tuple[Tensor, int, tuple[Tensor, Tensor]]]) -> Tensor:
        """See `LayerReading`; (B, width, H, W)."""
        x = torch.cat([self._enter(activations, cell) for activations, cell, _ in parts])
        for pairs, growth, step in zip(self.pairs, self.growths, self.steps, strict=False):
            x = depth_to_space(growth(pairs(x)), step)
        x = self.pairs[-1](x)
        sizes = [len(activations) for activations, _, _ in parts]
        scale, shift = (
            torch.cat([own[k].expand(size, -1) for size, (_, _, own) in zip(sizes, parts, strict=True)])
            for k in range(2)
        )
        return x * (1 + scale[:, :, None, None]) + shift[:, :, None, None]

    def _enter(self, activations: Tensor, cell: int) -> Tensor:
        x = squashed(self.standardised(activations, cell).clamp(-self.largest, self.largest))
        entered: Tensor = self.entries[cell](self.grid.bring(x) if self.grid.is_map else x.flatten(1))
        return entered if entered.ndim == 4 else entered.unflatten(1, (-1, *self.grid.size))
