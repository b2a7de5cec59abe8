"""Exact sampling pixel by pixel: with cached features (Ramachandran et al. 2017, arXiv 1704.06001), and naively."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from decoders.precision import full_precision
from decoders.sampling.cached_features import Buffer, LeftBlock, LeftConvolution, UpperStream, elu_into, mirrored
from decoders.sampling.heads import Head, ReaderHead, ReadingNetwork, Readout, RoundedReadout
from decoders.sampling.network import CausalNetwork, Conditioned

__all__ = ["sample_cached", "sample_naive"]


def sample_naive(
    distribution: Conditioned, generator: torch.Generator | None = None, uniforms: Tensor | None = None
) -> Tensor:
    """The reference that `ImageDistribution.sample` must equal: the whole network anew for every pixel.

    Arguments and result are those of `ImageDistribution.sample`.
    """
    network = distribution.network
    uniforms = _draw_uniforms(distribution, generator, uniforms)
    image = network.config.image
    shape = (len(uniforms), image.channels, image.height, image.width)
    x = torch.zeros(shape, dtype=torch.long, device=uniforms.device)
    training = network.training
    network.eval()
    try:
        with torch.inference_mode(), torch.autocast(uniforms.device.type, enabled=False), full_precision():
            for row in range(image.height):
                for column in range(image.width):
                    parameters = network.output_parameters(network.input_features(x), distribution.terms)
                    drawn = network.output.sample(parameters[:, :, row, column], uniforms[:, row, column])
                    x[:, :, row, column] = drawn
    finally:
        network.train(training)
    return x.to(torch.uint8)


def sample_cached(
    distribution: Conditioned, generator: torch.Generator | None = None, uniforms: Tensor | None = None
) -> Tensor:
    """Draw images; arguments and result are those of `ImageDistribution.sample`."""
    uniforms = _draw_uniforms(distribution, generator, uniforms)
    terms = distribution.terms
    with torch.inference_mode(), torch.autocast(uniforms.device.type, enabled=False), full_precision():
        network = distribution.network
        base = getattr(network, "base", None)
        if base is None:
            if terms is not None:
                terms = [tuple(term.to(uniforms.dtype) for term in blocks) for blocks in terms]
            sampler = _CachedSampler(network, terms, uniforms)
        else:  # a reader: the base's features, and a head of its own
            sampler = _CachedSampler(base, base().terms, uniforms)
            if terms is None:
                sampler.head = RoundedReadout(sampler.readout)
            else:
                sampler.head = ReaderHead(cast(ReadingNetwork, network), sampler.readout, terms[0], uniforms)
        drawn = sampler.run()
    return drawn.clone()  # outside of inference mode, so that it can be used in training


def _draw_uniforms(distribution: Conditioned, generator: torch.Generator | None, uniforms: Tensor | None) -> Tensor:
    """(B, H, W, K) uniforms of the decoder's dtype; checks those that are given."""
    network = distribution.network
    image = network.config.image
    reference = next(parameter for parameter in network.parameters() if parameter.is_floating_point())
    shape = (distribution.batch_size or 1, image.height, image.width, network.output.n_uniforms)
    if uniforms is None:
        return torch.rand(shape, generator=generator, dtype=reference.dtype, device=reference.device)
    if distribution.batch_size is None:
        shape = (len(uniforms), *shape[1:])
    if tuple(uniforms.shape) != shape:
        raise ValueError(f"uniforms must be {shape}, not {tuple(uniforms.shape)}")
    return uniforms.to(reference)


class _LeftLevel:
    """The left stream at one resolution: its blocks, and the maps to the next finer and from the finer one.

    Arguments:
        network: the decoder.
        level: index of the resolution.
        finer: the left stream at the next finer resolution; None at the finest.
        like: a tensor (B, ...) of the dtype and device to use.
    """

    def __init__(self, network: CausalNetwork, level: int, finer: _LeftLevel | None, like: Tensor) -> None:
        filters, width = network.config.architecture.filters, network.sizes[level][1]
        self.filters, self.finer = filters, finer
        self.last = level == len(network.sizes) - 1
        self.entry = Buffer(like, width, 2 * filters)
        self.up: list[LeftBlock] = []
        for block in network.up_left[level]:
            self.up.append(LeftBlock(block, self.up[-1].output if self.up else self.entry))
        shortcuts = [self.entry, *(block.output for block in self.up)]
        self.down_entry = shortcuts.pop() if self.last else Buffer(like, width, 2 * filters)
        self.down: list[LeftBlock] = []
        for block in network.down_left[level]:
            self.down.append(LeftBlock(block, self.down[-1].output if self.down else self.down_entry))
        self.shortcuts = [buffer.pixels for buffer in reversed(shortcuts)]
        # What the coarser resolution reads (before activation), and what it hands down: two rows of doubled features.
        self.top = Buffer(like, width, filters)
        self.from_coarser = like.new_zeros(len(like), 2, width, 2 * filters)
        self.handed_down = [row.unbind(1) for row in self.from_coarser.unbind(1)]
        if finer is not None:
            coarser = LeftConvolution(network.coarser_left[level - 1])
            self.coarser_above, self.coarser_here = mirrored(coarser.above), mirrored(coarser.here)
            self.coarser_bias = mirrored(coarser.bias)
            layer = network.finer_left[level - 1]
            self.finer_weight = mirrored(layer.weight().permute(0, 2, 3, 1)).flatten(1)  # (F, 2 x 2 x 2F)
            self.finer_bias = mirrored(layer.bias).repeat(4)
            self.hand_down = [
                finer.from_coarser[:, :, 2 * column : 2 * column + 2].unflatten(2, (1, 2)).flatten(2)
                for column in range(width)
            ]

    def start_row(self, up: list[Tensor], down: list[Tensor], terms: list[Tensor] | None) -> None:
        """Collect what is known of a row: outputs of the upper stream's blocks, terms of this stream's blocks."""
        if self.finer is not None:
            known = self.coarser_bias + self.finer.top.all_taps()[:, ::2] @ self.coarser_above
            self._entry_known = known.transpose(0, 1).contiguous().unbind(0)
        for n, (block, upper) in enumerate(zip(self.up + self.down, up + down, strict=True)):
            block.start_row(upper, None if terms is None else terms[n])

    def go_up(self, column: int, doubled: Tensor | None) -> Tensor:
        """The upward pass at a pixel, from given features (B, 2F) or from the finer resolution."""
        if doubled is None:
            assert self.finer is not None
            doubled = torch.addmm(self._entry_known[column], self.finer.top.taps[2 * column], self.coarser_here)
        elu_into(doubled, self.entry.pixels[column])
        for block in self.up:
            doubled = block.pixel(column, doubled, None)
        if not self.last:
            self.top.pixels[column].copy_(doubled[:, : self.filters])
        return doubled

    def go_down(self, parity: int, column: int, doubled: Tensor) -> None:
        """The downward pass at a pixel; takes `doubled` only at the coarsest resolution."""
        if not self.last:
            doubled = self.handed_down[parity][column]
            elu_into(doubled, self.down_entry.pixels[column])
        for block, shortcut in zip(self.down, self.shortcuts, strict=True):
            doubled = block.pixel(column, doubled, shortcut[column])
        if self.finer is not None:
            fine = torch.addmm(self.finer_bias, doubled[:, : self.filters], self.finer_weight)
            self.hand_down[column].copy_(fine.unflatten(1, (2, -1)))


class _CachedSampler:
    """Draws one minibatch.

    Arguments:
        network: the decoder.
        terms: what the condition adds, per resolution and block.
        uniforms: (B, H, W, K).
    """

    def __init__(self, network: CausalNetwork, terms: list[tuple[Tensor, ...]] | None, uniforms: Tensor) -> None:
        self.network, self.terms, self.uniforms = network, terms, uniforms
        self.upper = UpperStream(network, terms, uniforms)
        self.levels: list[_LeftLevel] = []
        for level in range(len(network.sizes)):
            self.levels.append(_LeftLevel(network, level, self.levels[-1] if self.levels else None, uniforms))
        weights = self.upper.weights
        self.left_weight = weights[network.input_left][..., 0].permute(2, 1, 0)  # (above, here; N; F)
        self.left_here = mirrored(self.left_weight[1])
        self.readout = Readout(network.readout, weights[network.readout])
        self.head: Head = self.readout
        image = network.config.image
        self.size = (image.height, image.width)
        # Input features: two rows above and the current one; the last channel is one inside the image.
        inputs = self.left_weight.shape[1]
        self.features = uniforms.new_zeros(len(uniforms), 3, image.width, inputs)
        shape = (image.height, image.width, len(uniforms), image.channels)
        self.x = torch.zeros(shape, dtype=torch.long, device=uniforms.device)

    def run(self) -> Tensor:
        """The images, (B, C, H, W), uint8."""
        height, width = self.size
        depth = len(self.levels)
        steps = [sum(column % 2**level == 0 for level in range(depth)) for column in range(width)]
        uniforms = self.uniforms.permute(1, 2, 0, 3).contiguous()
        network, levels = self.network, self.levels
        sample, table, head = network.output.sample, network.input_table, self.head
        output = levels[0].down[-1].output.pixels
        activated = [pixel[:, : levels[0].filters] for pixel in output]
        written = self.features[:, 2, :, :-1].unbind(1)
        current = self.features[:, 2].unbind(1)
        for row in range(height):
            known = self._start_row(row)
            head.start_row(row)
            active = sum(row % 2**level == 0 for level in range(depth))
            parities = [(row >> level) % 2 for level in range(depth)]
            row_uniforms, row_values = uniforms[row].unbind(0), self.x[row].unbind(0)
            for column in range(width):
                doubled = known[column]
                if column:
                    doubled = torch.addmm(known[column], current[column - 1], self.left_here)
                reached = min(active, steps[column])
                for level in range(reached):
                    doubled = levels[level].go_up(column >> level, doubled if level == 0 else None)
                for level in reversed(range(reached)):
                    levels[level].go_down(parities[level], column >> level, doubled)
                drawn = sample(head.parameters(column, activated[column]), row_uniforms[column])
                row_values[column].copy_(drawn)
                inputs = F.embedding(drawn, table).flatten(1)
                written[column].copy_(inputs)
                head.drawn(column, inputs)
        return self.x.permute(2, 3, 0, 1).to(torch.uint8)

    def _start_row(self, row: int) -> tuple[Tensor, ...]:
        """Move all to a new row; what is known of the left stream's input, doubled, per column (B, 2F)."""
        network, features, weights = self.network, self.features, self.upper.weights
        features[:, :2] = features[:, 1:].clone()
        features[:, 2, :, -1] = 1.0
        rows = features[:, :2].permute(0, 3, 1, 2)  # (B, N, 2, W): the two rows above
        batch, width = len(features), self.size[1]
        filters = self.left_weight.shape[2]
        # As in the network, what lies outside the image adds nothing, not even a bias.
        upper = features.new_zeros(batch, filters, 1, width)
        left = features.new_zeros(batch, width, filters)
        if row:
            layer = network.input_upper
            upper = F.conv2d(rows, weights[layer], layer.bias, 1, (0, 1))
            layer = network.input_row_above
            left = F.conv2d(rows[:, :, 1:], weights[layer], layer.bias, 1, (0, 1))[:, :, 0].transpose(1, 2).clone()
        left[:, 1:] += network.input_left.bias + features[:, 1, :-1] @ self.left_weight[0]
        up, down = self.upper.row(row, upper)
        for level in range(len(up)):
            terms = None
            if self.terms is not None:
                terms = [term[:, :, row >> level] for term in self.terms[level][1::2]]
            self.levels[level].start_row(up[level], down[level], terms)
        return mirrored(left).transpose(0, 1).contiguous().unbind(0)
