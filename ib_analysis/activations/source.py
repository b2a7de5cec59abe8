"""Activations as decoders and probes ask for them: by epoch, layer and group."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from decoders.precision import full_precision
from ib_analysis.activations.groups import Groups, groups_of
from ib_analysis.activations.layout import Layout
from ib_analysis.artifacts import UserError
from ib_analysis.data.interface import ImageData
from ib_analysis.encoders.interface import TappedNetwork, tap_shapes

__all__ = ["Activations", "RecomputedActivations", "bytes_per_image", "to_float16"]

FLOAT16_MAX = 65504.0


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
        """Activations of the images ``groups.bounds[group]``: shape (n, C, h, w) or (n, C), float16."""
        ...


def to_float16(activations: Tensor) -> tuple[Tensor, int]:
    """Cast to float16, with values beyond its range set to the largest finite one.

    Arguments:
        activations: any shape, any float dtype.

    Returns:
        The float16 tensor, and how many values lay beyond +-65504.

    Raises:
        UserError: a value is not a number.

    >>> to_float16(torch.tensor([1.0, -1e6]))
    (tensor([ 1.0000e+00, -6.5504e+04], dtype=torch.float16), 1)
    """
    largest = float(activations.abs().max()) if activations.numel() else 0.0
    if math.isnan(largest):
        raise UserError("The encoder's activations are not numbers; its training diverged: lower learning_rate.")
    if largest <= FLOAT16_MAX:
        return activations.half(), 0
    beyond = int((activations.abs() > FLOAT16_MAX).sum())
    return activations.clamp(-FLOAT16_MAX, FLOAT16_MAX).half(), beyond


def bytes_per_image(shapes: Mapping[str, Sequence[int]], n_epochs: int) -> int:
    """Bytes that one image takes in a dump before compression.

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

    Raises:
        UserError: the network has no such layer.
    """

    def __init__(
        self,
        load_encoder: Callable[[int], TappedNetwork],
        data: ImageData,
        epochs: Sequence[int],
        layers: Sequence[str],
        group_size: int,
    ) -> None:
        self.epochs, self.layers = tuple(epochs), tuple(layers)
        self.groups = groups_of(data, group_size)
        self._load_encoder, self._data = load_encoder, data
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
        """How a dump keeps them: as real numbers, or as codes of few bits."""
        bits, signed = self._encoder(epoch).code_bits.get(layer, (None, False))
        return Layout(self._shapes[layer], bits, signed)

    def read(self, epoch: int, layer: str, group: int) -> Tensor:
        return self._evaluate(epoch, group)[layer][0]

    def n_clamped(self, epoch: int, layer: str, group: int) -> int:
        """How many values of this group lay beyond the range of float16."""
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
            encoder = self._encoder(epoch)
            device = next((tensor.device for tensor in encoder.parameters()), torch.device("cpu"))
            # Whatever surrounds the call: the same arithmetic as in the dump.
            with torch.no_grad(), torch.autocast(device.type, enabled=False), full_precision():
                taps = encoder.taps(self.images(group).to(device))
            self._taps = {layer: to_float16(taps[layer]) for layer in self.layers}
            self._latest = (epoch, group)
            self._warn(epoch)
        return self._taps

    def _warn(self, epoch: int) -> None:
        for layer, (_, n_clamped) in self._taps.items():
            if n_clamped and (epoch, layer) not in self._warned:
                self._warned.add((epoch, layer))
                warnings.warn(
                    f"Activations of {layer} at epoch {epoch} exceed the range of float16 and are set to "
                    "+-65504: what lies beyond is lost to every decoder.",
                    stacklevel=4,
                )
