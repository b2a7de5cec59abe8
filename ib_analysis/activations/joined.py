"""Activations of several networks as if they were those of one: for a decoder that reads them all."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ib_analysis.activations.source import Activations

__all__ = ["JoinedActivations", "joined_layer"]


def joined_layer(source: str, layer: str) -> str:
    """Name of a source's layer among those of all.

    >>> joined_layer("classification_w8a8_seed0", "h3")
    'classification_w8a8_seed0/h3'
    """
    return f"{source}/{layer}"


class JoinedActivations:
    """Activations (see `Activations`) of several networks for the same images.

    Arguments:
        sources: name -> the activations of one network; at least one.

    Attributes:
        epochs: that all of them have.
        layers: of all of them, by the names of `joined_layer`.
        groups: which images are read together.

    Raises:
        ValueError: there are none, or they are of other images or in other groups.
    """

    def __init__(self, sources: Mapping[str, Activations]) -> None:
        if not sources:
            raise ValueError("no activations to join")
        first, *others = sources.values()
        if any(other.groups != first.groups for other in others):
            raise ValueError("activations of different groups of images cannot be joined")
        self.groups = first.groups
        self.epochs = tuple(epoch for epoch in first.epochs if all(epoch in other.epochs for other in others))
        self._places = {
            joined_layer(name, layer): (source, layer) for name, source in sources.items() for layer in source.layers
        }
        self.layers = tuple(self._places)

    def shape(self, layer: str) -> tuple[int, ...]:
        """Shape of one image's activations: (C, h, w) or (C,)."""
        source, own = self._places[layer]
        return source.shape(own)

    def read(self, epoch: int, layer: str, group: int) -> Tensor:
        """Those of the images of a group, as their own source gives them."""
        source, own = self._places[layer]
        return source.read(epoch, own, group)
