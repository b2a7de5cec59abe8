"""What the cached sampler keeps of a network: rows of the upper stream, pixels of the left stream.

The upper stream depends on finished rows only, so it is computed a row at a time. The left stream is computed a pixel
at a time, and of its convolutions only the taps in the current row: the taps in the row above, the auxiliary inputs
that are known and the condition's term are collected for a whole row beforehand. Features of the left stream are
*doubled*, (x, -x), since concatenated ELU is then one operation; weights are mirrored to match.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from decoders.activations import concat_elu
from decoders.layers import GatedBlock, UpsamplingConvolution, WeightNormConvolution
from decoders.sampling.network import CausalNetwork

__all__ = ["Buffer", "LeftBlock", "LeftConvolution", "UpperStream", "elu_into", "mirrored"]


_ONES = {dtype: torch.ones((), dtype=dtype) for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.float64)}


def mirrored(weight: Tensor) -> Tensor:
    """(..., F) to (..., 2F): a product with it is (x, -x)."""
    return torch.cat((weight, -weight), -1)


def elu_into(x: Tensor, out: Tensor) -> None:
    """ELU of x, written to `out` (which may be x): vectorised, unlike torch's on a CPU."""
    # A zero-dimensional one of the same dtype: a Python number would be converted anew at every call.
    torch.maximum(x, x.clamp_max(0).exp_().sub_(_ONES[x.dtype]), out=out)


def _doubled_gates(weight: Tensor) -> Tensor:
    """(..., 2F) for (a, b) to (..., 4F) for (a, -a, b, b): gating then gives a sigmoid(b) and its negative."""
    a, b = weight.chunk(2, -1)
    return torch.cat((a, -a, b, b), -1)


class Buffer:
    """One feature map of the left stream: the current row, with a column of zeros to its left.

    Until a row is started its buffer still holds the row above.

    Attributes:
        row: (B, width + 1, channels).
        taps: per column, the features of the pixel to the left and of the pixel itself, (B, 2 channels).
        pixels: per column, the features of the pixel, (B, channels); writing there fills the buffer.
    """

    def __init__(self, like: Tensor, width: int, channels: int) -> None:
        self.row = like.new_zeros(len(like), width + 1, channels)
        self.taps = [self.row[:, column : column + 2].flatten(1) for column in range(width)]
        self.pixels = [self.row[:, column + 1] for column in range(width)]

    def all_taps(self) -> Tensor:
        """The taps of all columns, (B, width, 2 channels)."""
        return torch.cat((self.row[:, :-1], self.row[:, 1:]), 2)


class LeftConvolution:
    """A 2x2 convolution of the left stream as two products, (2 inputs, outputs) each.

    Attributes:
        above, here: weights of the taps in the row above and in the current row.
        bias: (outputs,).
    """

    def __init__(self, layer: WeightNormConvolution) -> None:
        self.above, self.here = layer.weight().permute(2, 3, 1, 0).flatten(1, 2).unbind(0)
        self.bias: Tensor = layer.bias


class LeftBlock:
    """A gated block of the left stream.

    Arguments:
        block: the network's block.
        source: its activated input.
    """

    def __init__(self, block: GatedBlock, source: Buffer) -> None:
        if block.auxiliary is None:
            raise ValueError("blocks of the left stream see the upper stream")
        first, second = LeftConvolution(block.first), LeftConvolution(block.second)
        self.source = source
        self.first_above, self.first_here = first.above, mirrored(first.here)
        self.first_bias = first.bias + block.auxiliary.bias
        self.second_above, self.second_here = second.above, _doubled_gates(second.here)
        self.second_bias = second.bias
        channels = 2 * len(first.bias)
        # The upper stream's part of the auxiliary input is known a row ahead; a shortcut, if there is one, is not.
        auxiliary = block.auxiliary.weight()[:, :, 0, 0].t()
        self.from_upper = auxiliary[:channels]
        self.from_shortcut = mirrored(auxiliary[channels:])
        width = len(source.pixels)
        self.hidden = Buffer(source.row, width, channels)
        self.output = Buffer(source.row, width, channels)
        self._first_known: tuple[Tensor, ...] = ()
        self._second_known: tuple[Tensor, ...] = ()

    def start_row(self, upper_activated: Tensor, term: Tensor | None) -> None:
        """Collect what is known of a row: (B, 2F, 1, W) of the upper stream, (B or 1, 2F, W) of the condition."""
        upper = upper_activated[:, :, 0].transpose(1, 2)
        known = self.first_bias + self.source.all_taps() @ self.first_above + upper @ self.from_upper
        self._first_known = mirrored(known.transpose(0, 1)).unbind(0)
        known = self.second_bias + self.hidden.all_taps() @ self.second_above
        if term is not None:
            known = known + term.transpose(1, 2)
        self._second_known = _doubled_gates(known.transpose(0, 1)).unbind(0)

    def pixel(self, column: int, doubled: Tensor, shortcut: Tensor | None) -> Tensor:
        """(B, 2F) doubled features of a pixel to those after the block; keeps the activated ones as `output`."""
        known = self._first_known[column]
        if shortcut is not None:
            known = torch.addmm(known, shortcut, self.from_shortcut)
        hidden = self.hidden.pixels[column]
        torch.addmm(known, self.source.taps[column], self.first_here, out=hidden)
        elu_into(hidden, hidden)
        gates = torch.addmm(self._second_known[column], self.hidden.taps[column], self.second_here)
        doubled = F.glu(gates, 1).add_(doubled)
        elu_into(doubled, self.output.pixels[column])
        return doubled


class UpperStream:
    """The upper stream, a row at a time; a coarser resolution moves on every second row of the finer one.

    Arguments:
        network: the decoder.
        terms: what the condition adds, per resolution and block, (B or 1, 2F, H, W); None for nothing.
        like: a tensor (B, ...) of the dtype and device to use.
    """

    def __init__(self, network: CausalNetwork, terms: list[tuple[Tensor, ...]] | None, like: Tensor) -> None:
        self.network, self.terms = network, terms
        kinds = (WeightNormConvolution, UpsamplingConvolution)
        self.weights = {layer: layer.weight() for layer in network.modules() if isinstance(layer, kinds)}
        self.above: dict[WeightNormConvolution, Tensor] = {}
        levels, filters = len(network.sizes), network.config.architecture.filters
        self.finished = [like.new_zeros(len(like), filters, 1, width) for _, width in network.sizes]
        self.fine_rows = [like.new_zeros(len(like), filters, 2, width) for _, width in network.sizes[: levels - 1]]

    def row(self, row: int, x: Tensor) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
        """Move to a row: (B, F, 1, W) of the input convolution to the blocks' activated outputs, up and down.

        Returns:
            Per resolution that moves, per block: (B, 2F, 1, W).
        """
        network = self.network
        active = sum(row % 2**level == 0 for level in range(len(network.sizes)))
        shortcuts: list[list[Tensor]] = []
        before = x
        for level in range(active):
            if level:
                layer = network.coarser_upper[level - 1]
                both = torch.cat((before, x), 2)
                x = F.conv2d(both, self.weights[layer], layer.bias, 2, (0, 1))
            before = self.finished[level]
            shortcuts.append([concat_elu(x)])
            for n, block in enumerate(network.up_upper[level]):
                x = self._block(block, x, shortcuts[level][-1], None, self._term(level, row, 2 * n))
                shortcuts[level].append(concat_elu(x))
            self.finished[level] = x
        up = [outputs[1:] for outputs in shortcuts]
        down: list[list[Tensor]] = [[] for _ in range(active)]
        for level in reversed(range(active)):
            if level == len(network.sizes) - 1:
                activated = shortcuts[level].pop()
            else:
                if level < active - 1:
                    layer = network.finer_upper[level]
                    self.fine_rows[level] = layer.apply_weight(x, self.weights[layer], layer.bias)
                parity = (row >> level) % 2
                x = self.fine_rows[level][:, :, parity : parity + 1]
                activated = concat_elu(x)
            for n, block in enumerate(network.down_upper[level]):
                term = self._term(level, row, 2 * (len(network.up_upper[level]) + n))
                x = self._block(block, x, activated, shortcuts[level].pop(), term)
                activated = concat_elu(x)
                down[level].append(activated)
        return up, down

    def _term(self, level: int, row: int, index: int) -> Tensor | None:
        return None if self.terms is None else self.terms[level][index][:, :, row >> level].unsqueeze(2)

    def _block(
        self, block: GatedBlock, x: Tensor, activated: Tensor, shortcut: Tensor | None, term: Tensor | None
    ) -> Tensor:
        hidden = self._convolve(block.first, activated)
        if block.auxiliary is not None and shortcut is not None:
            hidden = hidden + F.conv2d(shortcut, self.weights[block.auxiliary], block.auxiliary.bias)
        gates = self._convolve(block.second, concat_elu(hidden))
        return x + F.glu(gates if term is None else gates + term, 1)

    def _convolve(self, layer: WeightNormConvolution, current: Tensor) -> Tensor:
        """A 2x3 convolution; the row above is what this layer saw last."""
        above = self.above.get(layer)
        self.above[layer] = current
        both = torch.cat((torch.zeros_like(current) if above is None else above, current), 2)
        return F.conv2d(both, self.weights[layer], layer.bias, 1, (0, 1))
