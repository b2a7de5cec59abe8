"""From the base's features of a pixel to the output distribution's parameters, one pixel after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from decoders.layers import WeightNormConvolution
from decoders.outputs import OutputDistribution
from decoders.sampling.cached_features import elu_into

__all__ = ["Head", "ReaderHead", "ReadingNetwork", "Readout", "RoundedReadout"]


class Head(Protocol):
    """What turns features into parameters; is told of every pixel that was drawn."""

    def start_row(self, row: int) -> None:
        """Move on to a row."""
        ...

    def parameters(self, column: int, features: Tensor) -> Tensor:
        """Features of a pixel, (B, F), to its parameters, (B, P)."""
        ...

    def drawn(self, column: int, inputs: Tensor) -> None:
        """The network's input features, (B, N), of the pixel that was drawn; without the channel of ones."""
        ...


class Readout:
    """The end of a PixelCNN++: a linear map.

    Arguments:
        layer: the map.
        weight: its normalised weight.
    """

    def __init__(self, layer: WeightNormConvolution, weight: Tensor) -> None:
        self._weight, self._bias = weight[:, :, 0, 0].t(), layer.bias

    def start_row(self, row: int) -> None:
        """Nothing is kept of pixels."""

    def parameters(self, column: int, features: Tensor) -> Tensor:
        """See `Head`."""
        return torch.addmm(self._bias, features, self._weight)

    def drawn(self, column: int, inputs: Tensor) -> None:
        """Nothing is kept of pixels."""


class RoundedReadout:
    """The end of a reader's base: a linear map of features in float16, as `Reader.base_features` gives them.

    Arguments:
        readout: of the base.
    """

    def __init__(self, readout: Readout) -> None:
        self._readout = readout

    def start_row(self, row: int) -> None:
        """Nothing is kept of pixels."""

    def parameters(self, column: int, features: Tensor) -> Tensor:
        """See `Head`."""
        return self._readout.parameters(column, rounded(features))

    def drawn(self, column: int, inputs: Tensor) -> None:
        """Nothing is kept of pixels."""


def rounded(features: Tensor) -> Tensor:
    """To float16 and back."""
    return features.half().to(features.dtype)


class ReadingNetwork(Protocol):
    """What a head needs to know of a reader (`decoders.reader.Reader`)."""

    feature_shift: Any
    feature_gain: Any
    from_base: Any
    from_read: Any
    from_pixels: Any
    blocks: Any
    change: Any
    output: OutputDistribution
    changed: Callable[[Tensor, Tensor, Tensor], Tensor]


class _Window:
    """The rows that a masked convolution sees around the pixels of the current row.

    Arguments:
        layer: the convolution.
        width: of the image.
        like: a tensor (B, ...) of the dtype and device to use.
    """

    def __init__(self, layer: Any, width: int, like: Tensor) -> None:
        weight, self._reach = layer.weight * layer.mask, layer.reach  # (O, I, rows, columns)
        self.weight = weight.permute(2, 3, 1, 0).flatten(0, 2)  # rows, columns, inputs; outputs
        self.bias = layer.bias
        self.rows = like.new_zeros(len(like), self._reach + 1, width + 2 * self._reach, weight.shape[1])
        self.pixels = self.rows[:, -1, self._reach :].unbind(1)

    def start_row(self) -> None:
        self.rows[:, :-1] = self.rows[:, 1:].clone()
        self.rows[:, -1] = 0

    def at(self, column: int) -> Tensor:
        """The convolution at a column: (B, O)."""
        seen = self.rows[:, :, column : column + 2 * self._reach + 1].flatten(1)
        return torch.addmm(self.bias, seen, self.weight)


class ReaderHead:
    """A reader's causal blocks, pixel by pixel; equal to `Reader.output_parameters`.

    Arguments:
        network: the reader.
        readout: of its base.
        terms: what was read of the condition (`Reader.forward`).
        like: a tensor (B, ...) of the dtype and device to use.
    """

    def __init__(self, network: ReadingNetwork, readout: Readout, terms: tuple[Tensor, ...], like: Tensor) -> None:
        read, own, *mask = (term if term.dtype == torch.bool else term.to(like.dtype) for term in terms)
        self._network, self._readout = network, readout
        self._mask = mask[0].flatten(1) if mask else None
        width = own.shape[3]
        layer = network.from_base
        self._base_weight, self._base_bias = layer.weight[:, :, 0, 0].t(), layer.bias
        self._known = _by_pixel(network.from_read(read))
        self._block_known = [_by_pixel(block.read(read)) for block in network.blocks]
        self._change_weight, self._change_bias = network.change.weight[:, :, 0, 0].t(), network.change.bias
        self._own, self._hints = _by_pixel(own), _by_pixel(network.output.hints(own))
        self._inputs = _Window(network.from_pixels, width, like)
        self._inside = [_Window(block.before, width, like) for block in network.blocks]
        self._row = 0

    def start_row(self, row: int) -> None:
        """See `Head`."""
        self._row = row
        for window in (self._inputs, *self._inside):
            window.start_row()

    def parameters(self, column: int, features: Tensor) -> Tensor:
        """See `Head`."""
        network, at = self._network, (self._row, column)
        features = rounded(features)  # as the reader knows them
        plain = self._readout.parameters(column, features)
        scaled = (features - network.feature_shift) * network.feature_gain
        z = torch.addmm(self._base_bias, scaled, self._base_weight) + self._known[at] + self._inputs.at(column)
        for window, known in zip(self._inside, self._block_known, strict=True):
            elu_into(z, window.pixels[column])
            a, b = (window.at(column) + known[at]).chunk(2, 1)
            z = torch.addcmul(z, a, b.sigmoid())
        elu_into(z, z)
        changes = torch.addmm(self._change_bias, z, self._change_weight)
        changed = network.changed(plain, self._own[at], changes)
        return changed if self._mask is None else torch.where(self._mask, plain, changed)

    def drawn(self, column: int, inputs: Tensor) -> None:
        """See `Head`."""
        pixel = self._inputs.pixels[column]
        n = inputs.shape[1]
        pixel[:, :n] = inputs
        pixel[:, n] = 1
        pixel[:, n + 1 :] = self._hints[self._row, column]


def _by_pixel(x: Tensor) -> Tensor:
    """(B, F, H, W) to (H, W, B, F)."""
    return x.permute(2, 3, 0, 1).contiguous()
