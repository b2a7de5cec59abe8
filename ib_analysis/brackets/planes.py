"""An autoregressive density of a layer's codes, plane by plane: p(h) = prod_c p(h_c | h_1 ... h_(c-1)).

Each channel of a layer is an image in one colour, its pixels are codes, and a PixelCNN++ of the same family that codes
images codes it, conditioned on the planes before it. All planes of a layer share the network; which one is coded is
told as decoders are told the cell: by an embedding and a correction of the read-out. Vectors are planes of one pixel.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from decoders import Architecture, Cell, Condition, ImageSpace, Minibatch, PixelCNNPP, PixelCNNPPConfig
from decoders.code_lengths import code_lengths_bits
from ib_analysis.activations import Groups, Part
from ib_analysis.information.guard import Guard, unguarded

__all__ = ["CodeReader", "PlaneFeed", "plane_code_lengths_bits", "plane_network"]


class CodeReader(Protocol):
    """Reads the codes of one group of images: integers from 0 on, shape (n, C, h, w) or (n, C), any dtype."""

    def __call__(self, group: int) -> Tensor: ...


def plane_network(shape: Sequence[int], bits: int, architecture: Architecture) -> PixelCNNPPConfig:
    """The network that codes the planes of a layer.

    Arguments:
        shape: (C, h, w) or (C,) of one image's codes.
        bits: of a code.

    >>> plane_network((16,), 2, Architecture(blocks=1, filters=4)).cells[3]
    Cell(name='plane_0003', layer='planes', shape=(16, 1, 1))
    """
    channels, height, width = _spatial(shape)
    chosen = dataclasses.replace(architecture, output="categorical")
    cells = tuple(Cell(_name(index), "planes", (channels, height, width)) for index in range(channels))
    return PixelCNNPPConfig(ImageSpace(1, height, width, 2**bits), chosen, cells)


def plane_code_lengths_bits(decoder: PixelCNNPP, codes: Iterable[Tensor]) -> np.ndarray:
    """Code length of every image's codes: the sum over the planes, float64, shape (N,), bits.

    Arguments:
        decoder: a network of `plane_network`.
        codes: groups of images, each (n, C, h, w) or (n, C), integers.
    """
    found = []
    for group in codes:
        planes = _planes(group)
        minibatches = (_minibatch([(planes, index)]) for index in range(planes.shape[1]))
        found.append(code_lengths_bits(decoder, minibatches).reshape(planes.shape[1], len(planes)).sum(0))
    return np.concatenate(found) if found else np.empty(0)


class PlaneFeed:
    """Minibatches of planes with the planes before them as conditions (`decoders.TrainingData`).

    A minibatch is made of whole groups of images, each with a plane drawn at random.

    Arguments:
        read: codes of a group.
        groups: which images belong together.
        channels: planes of the layer.
        batch_size: images of a minibatch.
        validation_images: (image, plane) pairs of one validation, at the least.
        guard: asked before codes of images are used in a fit. Planes of codes do not show which image they belong to,
            so that images are named by their places.
    """

    def __init__(
        self,
        read: CodeReader,
        groups: Groups,
        channels: int,
        batch_size: int,
        validation_images: int,
        guard: Guard = unguarded,
    ) -> None:
        self._read, self.groups, self._channels = read, groups, channels
        self._per_minibatch = max(1, batch_size // groups.group_size)
        self._validation_images = validation_images
        self._guard = guard

    def minibatch(self, rng: np.random.Generator) -> Minibatch:
        """Random groups of the training part, each with a random plane."""
        groups = rng.choice(self.groups.part("train"), self._per_minibatch)
        planes = rng.integers(self._channels, size=self._per_minibatch)
        pairs = [(int(group), int(plane)) for group, plane in zip(groups, planes, strict=True)]
        return self._assemble(pairs, "a training minibatch")

    def validation(self) -> Iterator[Minibatch]:
        """The same (group, plane) pairs of the validation slice each time, every plane equally often."""
        groups = self.groups.part("validation")
        rounds = math.ceil(self._validation_images / (self._channels * self.groups.group_size))
        pairs = [
            (groups[(plane + turn) % len(groups)], plane) for turn in range(rounds) for plane in range(self._channels)
        ]
        for start in range(0, len(pairs), self._per_minibatch):
            yield self._assemble(pairs[start : start + self._per_minibatch], "the validation images")

    def standardisation(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Mean and standard deviation by which the condition of each plane is standardised: name -> ((C,), (C,)).

        Planes that are not told yet are zeros: they keep mean 0.
        """
        total, squares = torch.zeros(2, self._channels, dtype=torch.float64)
        count = 0
        for codes in self.codes("train"):
            values = _planes(codes).double().movedim(1, 0).flatten(1)  # (C, everything else)
            total, squares = total + values.sum(1), squares + values.square().sum(1)
            count += values.shape[1]
        mean = total / count
        deviation = (squares / count - mean.square()).clamp_min(0).sqrt()
        found = {}
        for index in range(self._channels):
            told = torch.arange(self._channels) < index
            found[_name(index)] = (torch.where(told, mean, 0.0).float(), torch.where(told, deviation, 0.0).float())
        return found

    def codes(self, part: Part) -> Iterator[Tensor]:
        """The codes of a part, group by group in order; those of the evaluation part are for measuring alone."""
        for group in self.groups.part(part):
            if part != "evaluation":
                self._guard(range(*self.groups.bounds[group]), f"the {part} part")
            yield self._read(group)

    def guarded(self) -> PlaneFeed:
        """Itself: the guard is asked before every minibatch."""
        return self

    @property
    def facts(self) -> dict[str, Any]:
        """Nothing to keep beside the record of a fit."""
        return {}

    def _assemble(self, pairs: Sequence[tuple[int, int]], where: str) -> Minibatch:
        self._guard([place for group, _ in pairs for place in range(*self.groups.bounds[group])], where)
        return _minibatch([(_planes(self._read(group)), plane) for group, plane in pairs])


def _minibatch(parts: Sequence[tuple[Tensor, int]]) -> Minibatch:
    """One plane of each part's images, given its earlier planes."""
    images = torch.cat([planes[:, index : index + 1] for planes, index in parts])
    conditions = []
    for planes, index in parts:
        earlier = planes.float()
        earlier[:, index:] = 0
        conditions.append(Condition(earlier, _name(index)))
    return Minibatch(images.to(torch.uint8), tuple(conditions))


def _planes(codes: Tensor) -> Tensor:
    """(n, C) to (n, C, 1, 1)."""
    return codes[..., None, None] if codes.ndim == 2 else codes


def _spatial(shape: Sequence[int]) -> tuple[int, int, int]:
    channels, height, width = (*shape, 1, 1) if len(shape) == 1 else shape
    return channels, height, width


def _name(plane: int) -> str:
    return f"plane_{plane:04d}"
