"""What a decoder is fitted to: minibatches of images with conditions, and how they are cut and moved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from decoders.readings import Condition

__all__ = ["Minibatch", "TrainingData", "on_device", "rows"]


@dataclass(frozen=True)
class Minibatch:
    """Images with what each of them is conditioned on."""

    images: Tensor
    """Integer-valued images, uint8, shape (B, C, H, W)."""
    condition: tuple[Condition, ...] | None = None
    """Conditions in the order of the images (their sizes sum to B), or None: every image is unconditional."""

    def __len__(self) -> int:
        return len(self.images)


class TrainingData(Protocol):
    """The images that a decoder is fitted to, and those that it is validated on."""

    def minibatch(self, rng: np.random.Generator) -> Minibatch:
        """Draw a training minibatch: a pure function of ``rng``, so that an interrupted fit can go on."""
        ...

    def validation(self) -> Iterable[Minibatch]:
        """The validation minibatches: the same ones in the same order at each call."""
        ...


def rows(minibatch: Minibatch, start: int, stop: int) -> Minibatch:
    """Images ``start`` to ``stop`` (excluded) of a minibatch, with their conditions.

    Example:
        >>> cells = ("epoch_0000/h3", "epoch_0010/h3")
        >>> conditions = tuple(Condition(torch.zeros(2, 5), cell) for cell in cells)
        >>> part = rows(Minibatch(torch.zeros(4, 1, 2, 2), conditions), 1, 4)
        >>> [(c.cell, len(c.activations)) for c in part.condition]
        [('epoch_0000/h3', 1), ('epoch_0010/h3', 2)]
    """
    start, stop, _ = slice(start, stop).indices(len(minibatch))
    if (start, stop) == (0, len(minibatch)) or minibatch.condition is None:
        return Minibatch(minibatch.images[start:stop], minibatch.condition)
    parts, offset = [], 0
    for condition in minibatch.condition:
        size = len(condition.activations)
        low, high = max(start - offset, 0), min(stop - offset, size)
        if low < high:
            parts.append(condition.map(itemgetter(slice(low, high))))
        offset += size
    return Minibatch(minibatch.images[start:stop], tuple(parts))


def on_device(minibatch: Minibatch, device: torch.device) -> Minibatch:
    """Move a minibatch to a device; to a GPU through pinned memory, so that copies overlap with computing."""

    def move(tensor: Tensor) -> Tensor:
        if device.type == "cuda" and tensor.device.type == "cpu":
            tensor = tensor.pin_memory()
        return tensor.to(device, non_blocking=True)

    conditions = minibatch.condition
    if conditions is not None:
        conditions = tuple(condition.map(move) for condition in conditions)
    return Minibatch(move(minibatch.images), conditions)
