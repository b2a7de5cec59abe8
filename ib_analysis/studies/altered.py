"""Activations altered on purpose, where it is known what a decoder may find in them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ib_analysis.activations import Activations, Groups, Part
from ib_analysis.artifacts import UserError
from ib_analysis.information.guard import Guard, unguarded

__all__ = ["IMAGE", "ConstantActivations", "ImageItself", "ShuffledActivations", "all_groups", "derangement"]

IMAGE = "image"
"""The one layer of `ImageItself`."""

PARTS: tuple[Part, ...] = ("train", "validation", "evaluation")


def derangement(n: int, rng: np.random.Generator) -> np.ndarray:
    """A permutation without a fixed point, uniform among all of them: shape (n,).

    Drawn by rejection: about one permutation in e has no fixed point.

    Raises:
        ValueError: fewer than two things cannot change places.

    >>> bool((derangement(5, np.random.default_rng(0)) == np.arange(5)).any())
    False
    """
    if n < 2:
        raise ValueError(f"a derangement needs at least two things, not {n}")
    while True:
        drawn = rng.permutation(n)
        if not (drawn == np.arange(n)).any():
            return drawn


def all_groups(source: Activations, epoch: int, layer: str) -> Iterator[Tensor]:
    """A cell's activations, group after group."""
    return (source.read(epoch, layer, group).cpu() for group in range(len(source.groups)))


class ShuffledActivations:
    """Every image with the activations of another image of the same part: their joint distribution is a product.

    One derangement for all cells, so that an image keeps its stranger. A cell is held in memory once it was asked for
    (2 or 4 bytes per activation), as an image's stranger may be in any group.

    Arguments:
        source: the activations.
        seed: of the derangement.
        guard: asked whether a decoder may see the activations of the strangers of the images that it is fitted to.

    Raises:
        UserError: a part has only one image.
    """

    def __init__(self, source: Activations, seed: int = 0, guard: Guard = unguarded) -> None:
        self._source, self.groups = source, source.groups
        self.epochs, self.layers = source.epochs, source.layers
        rng = np.random.default_rng([seed, 0x5EED])
        strangers = []
        for part in PARTS:
            images = self.groups.images(part)
            if len(images) < 2:
                raise UserError(
                    f"The {part} part has {len(images)} images, and shuffled pairs need two; use more images (or "
                    "another data.validation_share)."
                )
            strangers.append(images.start + derangement(len(images), rng))
        self.stranger = np.concatenate(strangers)
        """Shape (N,): whose activations each image is given."""
        fitted = len(self.stranger) - len(self.groups.images("evaluation"))
        guard(torch.from_numpy(self.stranger[:fitted]), "those whose activations are given to others")
        self._held: dict[tuple[int, str], Tensor] = {}

    def shape(self, layer: str) -> tuple[int, ...]:
        return self._source.shape(layer)

    def read(self, epoch: int, layer: str, group: int) -> Tensor:
        if (epoch, layer) not in self._held:
            self._held[epoch, layer] = torch.cat(list(all_groups(self._source, epoch, layer)))
        start, stop = self.groups.bounds[group]
        return self._held[epoch, layer][torch.from_numpy(self.stranger[start:stop])]


class ConstantActivations:
    """Every image with the same activations: their mean over the training part.

    Arguments:
        source: the activations.
        guard: asked before activations of images enter the mean.
    """

    def __init__(self, source: Activations, guard: Guard = unguarded) -> None:
        self._source, self.groups, self._guard = source, source.groups, guard
        self.epochs, self.layers = source.epochs, source.layers
        self._means: dict[tuple[int, str], Tensor] = {}

    def shape(self, layer: str) -> tuple[int, ...]:
        return self._source.shape(layer)

    def read(self, epoch: int, layer: str, group: int) -> Tensor:
        if (epoch, layer) not in self._means:
            groups = self.groups.part("train")
            for index in groups:
                self._guard(range(*self.groups.bounds[index]), "the mean activation")
            sums = [self._source.read(epoch, layer, index).cpu().double().sum(0) for index in groups]
            mean = torch.stack(sums).sum(0) / self.groups.n_train
            self._means[epoch, layer] = mean.to(self._source.read(epoch, layer, 0).dtype)
        start, stop = self.groups.bounds[group]
        mean = self._means[epoch, layer]
        return mean.expand(stop - start, *mean.shape).clone()


class ImageItself:
    """The image in the place of activations: nothing can tell more about it. One layer, `IMAGE`.

    Arguments:
        images: shape (N, C, H, W), uint8, in the order of decoder and evaluation images.
        intensities: pixel values are 0..intensities-1; they are scaled to [-1, 1].
        groups: which images are read together.
        epochs: of the run that it stands beside.
    """

    layers: tuple[str, ...] = (IMAGE,)

    def __init__(self, images: np.ndarray, intensities: int, groups: Groups, epochs: tuple[int, ...]) -> None:
        self._images, self._half_range = images, (intensities - 1) / 2
        self.groups, self.epochs = groups, epochs

    def shape(self, layer: str) -> tuple[int, ...]:
        return tuple(self._images.shape[1:])

    def read(self, epoch: int, layer: str, group: int) -> Tensor:
        start, stop = self.groups.bounds[group]
        # Distinct intensities stay distinct: float16 has 11 bits of precision and images at most 8.
        return (torch.from_numpy(self._images[start:stop]).float() / self._half_range - 1).half()
