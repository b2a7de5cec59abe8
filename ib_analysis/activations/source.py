"""Activations as decoders and probes ask for them: by epoch, layer and group."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from decoders.precision import full_precision
from ib_analysis.activations.groups import Groups, groups_of
from ib_analysis.activations.layout import Layout
from ib_analysis.activations.numbers import Numbers
from ib_analysis.activations.survey import Storage, choose_numbers, sample_groups
from ib_analysis.artifacts import UserError
from ib_analysis.data.interface import ImageData
from ib_analysis.encoders.interface import TappedNetwork, check_tap_names, tap_shapes

__all__ = ["Activations", "RecomputedActivations", "UnkeptActivations", "bytes_per_image", "check_repeats"]


class Activations(Protocol):
    """Where activations come from: `StoredActivations` or `RecomputedActivations`; both give the same bits.

    Attributes:
        epochs: epochs of the encoder checkpoints.
        layers: names of the taps.
        groups: which images are read together.
    """

    epochs: tuple[int, ...]
    layers: tuple[str, ...]
    groups: Groups

    def shape(self, layer: str) -> tuple[int, ...]:
        """Shape of one image's activations: (C, h, w) or (C,)."""
        ...

    def read(self, epoch: int, layer: str, group: int) -> Tensor:
        """Activations of the images ``groups.bounds[group]``: shape (n, C, h, w) or (n, C), float16 or float32.

        They are the numbers that are kept (see `Numbers`): where plain ones would lose, each channel is mapped."""
        ...


class UnkeptActivations(Activations, Protocol):
    """What can be dumped: activations made from an encoder, or read from a user's file."""

    def layout(self, epoch: int, layer: str) -> Layout:
        """How they are kept."""
        ...

    def n_clamped(self, epoch: int, layer: str, group: int) -> int:
        """How many values of this group lay beyond the range of the numbers that they are kept in."""
        ...


def bytes_per_image(shapes: Mapping[str, Sequence[int]], n_epochs: int) -> int:
    """Bytes that one image takes in a dump before compression, as float16.

    Arguments:
        shapes: layer -> shape of one image's activations.
        n_epochs: number of epochs that are dumped.

    >>> bytes_per_image({"h3": (64, 8, 8), "h4": (64,)}, n_epochs=2)
    16640
    """
    return 2 * n_epochs * sum(math.prod(shape) for shape in shapes.values())


class RecomputedActivations:
    """Activations made from the encoder whenever they are asked for, in evaluation mode and without
    augmentation.

    All layers of the group that was read last are kept, as one forward pass gives them all; so ask for the
    layers of a group one after the other.

    Arguments:
        load_encoder: epoch -> the encoder of that epoch, on the device where it is to run; called once per
            epoch.
        data: the images; its decoder and evaluation splits are used.
        epochs: epochs that can be asked for.
        layers: taps that can be asked for.
        group_size: see `Groups`.
        storage: which numbers may be handed on; see `choose_numbers`.

    Raises:
        UserError: the network has no such layer; activations are no numbers, or other ones each time.
    """

    def __init__(
        self,
        load_encoder: Callable[[int], TappedNetwork],
        data: ImageData,
        epochs: Sequence[int],
        layers: Sequence[str],
        group_size: int,
        storage: Storage = "auto",
    ) -> None:
        self.epochs, self.layers = tuple(epochs), tuple(layers)
        self.groups = groups_of(data, group_size)
        self._load_encoder, self._data, self._storage = load_encoder, data, storage
        check_tap_names(layers)
        self._numbers: dict[int, dict[str, Numbers]] = {}
        self._encoders: dict[int, TappedNetwork] = {}
        self._latest: tuple[int, int] | None = None
        self._taps: dict[str, tuple[Tensor, int]] = {}
        self._warned: set[tuple[int, str]] = set()
        first = self._encoder(self.epochs[0])
        for layer in self.layers:
            if layer not in first.layers:
                raise UserError(f"The encoder has no tap {layer!r}; it has {', '.join(first.layers)}.")
        self._shapes = tap_shapes(first, data.image_shape)

    def shape(self, layer: str) -> tuple[int, ...]:
        return self._shapes[layer]

    def layout(self, epoch: int, layer: str) -> Layout:
        """How they are kept: in which numbers, or as codes of few bits."""
        bits, signed = self._encoder(epoch).code_bits.get(layer, (None, False))
        return Layout(self._shapes[layer], bits, signed, self._numbers_of(epoch)[layer])

    def read(self, epoch: int, layer: str, group: int) -> Tensor:
        return self._evaluate(epoch, group)[layer][0]

    def n_clamped(self, epoch: int, layer: str, group: int) -> int:
        """How many values of this group lay beyond the range of the numbers that they are kept in."""
        return self._evaluate(epoch, group)[layer][1]

    def images(self, group: int) -> Tensor:
        """The images of a group: shape (n, C, H, W), uint8. No group crosses from one split into the next."""
        start, stop = self.groups.bounds[group]
        n_decoder = self.groups.n_train + self.groups.n_validation
        split = self._data.decoder if start < n_decoder else self._data.evaluation
        offset = 0 if start < n_decoder else n_decoder
        return torch.as_tensor(split.images[start - offset : stop - offset])

    def _encoder(self, epoch: int) -> TappedNetwork:
        if epoch not in self._encoders:
            self._encoders[epoch] = self._load_encoder(epoch).eval()
        return self._encoders[epoch]

    def _evaluate(self, epoch: int, group: int) -> dict[str, tuple[Tensor, int]]:
        if self._latest != (epoch, group):
            numbers = self._numbers_of(epoch)
            taps = self._forward(epoch, group)
            self._taps = {layer: numbers[layer].encode(taps[layer]) for layer in self.layers}
            self._latest = (epoch, group)
            for layer, (_, n_beyond) in self._taps.items():
                if (n_beyond or numbers[layer].loses) and (epoch, layer) not in self._warned:
                    self._warned.add((epoch, layer))
                    numbers[layer].warn(layer, epoch, n_beyond)
        return self._taps

    def _forward(self, epoch: int, group: int) -> dict[str, Tensor]:
        encoder = self._encoder(epoch)
        device = next((tensor.device for tensor in encoder.parameters()), torch.device("cpu"))
        # Whatever surrounds the call: the same arithmetic as in the dump.
        with torch.no_grad(), torch.autocast(device.type, enabled=False), full_precision():
            return encoder.taps(self.images(group).to(device))

    def _numbers_of(self, epoch: int) -> dict[str, Numbers]:
        """The numbers of each layer at an epoch, chosen before its first group is read."""
        if epoch not in self._numbers:
            groups = sample_groups(self.groups)
            check_repeats(self._forward(epoch, groups[0]), self._forward(epoch, groups[0]), self.layers)
            codes = self._encoder(epoch).code_bits  # whole numbers of at most 8 bits, which float16 has

            def sample() -> Iterator[dict[str, Tensor]]:
                return (self._forward(epoch, group) for group in groups)

            real = [layer for layer in self.layers if layer not in codes]
            chosen = choose_numbers(sample, real, self._storage)
            self._numbers[epoch] = {layer: chosen.get(layer, Numbers()) for layer in self.layers}
        return self._numbers[epoch]


def check_repeats(first: Mapping[str, Tensor], second: Mapping[str, Tensor], layers: Sequence[str]) -> None:
    """Compare the taps of two passes over the same images.

    Arguments:
        first, second: layer -> activations, of any shape.
        layers: those that must be the same.

    Raises:
        UserError: they differ by more than rounding (on a GPU the order of sums may change from run to run).
    """
    for layer in layers:
        one, other = first[layer].double(), second[layer].double()
        if not torch.equal(one, other) and float((one - other).abs().max()) > 1e-3 * float(one.std()):
            raise UserError(
                f"The network gives other activations of {layer} each time it sees the same images, though it is in "
                "evaluation mode, so that what is kept is not what it gives the next time; something in it is random, "
                "such as F.dropout without training=self.training: make it follow the mode."
            )
