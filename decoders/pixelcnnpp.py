"""PixelCNN++ (Salimans et al. 2017, arXiv 1701.05517), conditioned on activations: a distribution over images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decoders.activations import concat_elu
from decoders.conditioning import Conditioning
from decoders.config import PixelCNNPPConfig, resolution_sizes
from decoders.distribution import ImageDistribution
from decoders.layers import GatedBlock, Stream, UpsamplingConvolution, WeightNormConvolution, module_list
from decoders.outputs import OUTPUTS, OutputDistribution
from decoders.readings import Condition, Conditions

__all__ = ["PixelCNNPP", "length_of"]


def _input_table(intensities: int, fourier_features: bool) -> Tensor:
    """Features of every intensity, (intensities, N): the value scaled to [-1, 1]; sines and cosines if asked for.

    Angles are 2 pi 2^k x / 2^n with 2^n >= intensities, k = 0..n-1: the last cosine is the parity of x, its sine is
    zero and left out.
    """
    x = torch.arange(intensities, dtype=torch.float64)
    columns = [2 * x / (intensities - 1) - 1]
    if fourier_features:
        n = math.ceil(math.log2(intensities))
        for k in range(n):
            angle = 2 * math.pi * x * 2.0 ** (k - n)
            columns += [angle.cos()] if k == n - 1 else [angle.cos(), angle.sin()]
    return torch.stack(columns, 1)


def length_of(condition: Tensor | Condition | Sequence[Condition]) -> int:
    """Number of images of a condition."""
    if isinstance(condition, Tensor):
        return len(condition)
    parts = [condition] if isinstance(condition, Condition) else condition
    return sum(len(part.activations) for part in parts)


class PixelCNNPP(nn.Module):
    """A network that gives a distribution over images, with or without a condition.

    See also: :class:`decoders.distribution.ImageDistribution`, :class:`decoders.readings.Condition`.

    Arguments:
        config: images, architecture and cells; kept as the attribute `config`.

    Example:
        >>> from decoders import Architecture, ImageSpace, PixelCNNPP, PixelCNNPPConfig
        >>> image = ImageSpace(channels=1, height=8, width=8, intensities=16)
        >>> architecture = Architecture(blocks=1, filters=8, output="categorical")
        >>> decoder = PixelCNNPP(PixelCNNPPConfig(image, architecture))
        >>> x = torch.randint(16, (2, 1, 8, 8))
        >>> decoder.initialise(x)
        >>> decoder().log_prob(x).shape
        torch.Size([2])
        >>> decoder(batch_size=3).sample().shape
        torch.Size([3, 1, 8, 8])
    """

    def __init__(self, config: PixelCNNPPConfig) -> None:
        super().__init__()
        self.config = config
        image, chosen = config.image, config.architecture
        self.sizes = resolution_sizes(image.height, image.width, chosen.resolutions)
        levels, blocks, filters = len(self.sizes), chosen.blocks, chosen.filters
        self.input_table: Tensor
        self.register_buffer(
            "input_table",
            _input_table(image.intensities, chosen.fourier_features).to(torch.get_default_dtype()),
            persistent=False,
        )
        inputs = image.channels * self.input_table.shape[1] + 1

        def convolution(
            kernel: tuple[int, int], padding: tuple[int, int, int, int], shift: tuple[int, int]
        ) -> WeightNormConvolution:
            return WeightNormConvolution(inputs, filters, "left", kernel=kernel, padding=padding, shift=shift)

        self.input_upper = convolution((2, 3), (1, 1, 1, 0), (1, 0))
        self.input_row_above = convolution((1, 3), (1, 1, 0, 0), (1, 0))
        self.input_left = convolution((2, 1), (0, 0, 1, 0), (0, 1))

        def stack(stream: Stream, auxiliary: int, counts: list[int]) -> Any:
            return module_list(
                module_list(
                    GatedBlock(filters, stream, auxiliary, chosen.dropout, chosen.init_scale) for _ in range(count)
                )
                for count in counts
            )

        up = [blocks] * levels
        down = [blocks + 1] * (levels - 1) + [blocks]
        self.up_upper = stack("upper", 0, up)
        self.up_left = stack("left", filters, up)
        self.down_upper = stack("upper", filters, down)
        self.down_left = stack("left", 2 * filters, down)

        def between(kind: type[nn.Module], stream: Stream, **options: int) -> Any:
            return module_list(kind(filters, filters, stream, **options) for _ in range(levels - 1))

        self.coarser_upper = between(WeightNormConvolution, "upper", stride=2)
        self.coarser_left = between(WeightNormConvolution, "left", stride=2)
        self.finer_upper = between(UpsamplingConvolution, "upper")
        self.finer_left = between(UpsamplingConvolution, "left")
        self.output: OutputDistribution = OUTPUTS[chosen.output](image, chosen)
        self.readout = WeightNormConvolution(
            filters, self.output.n_parameters, "pointwise", init_scale=self.output.init_scale
        )
        self.conditioning: Conditioning | None = None
        if config.cells or config.marked_pixels:
            self.conditioning = Conditioning(config)
            # The terms of all blocks of a resolution come from one 1x1 convolution: one large product, not many.
            self.gates = module_list(
                nn.Conv2d(chosen.condition_filters, 4 * filters * (n + m), 1, bias=False)
                for n, m in zip(up, down, strict=True)
            )
            for gate in self.gates:
                # Unit scale from the start: with terms as small as init_scale, fits needed twice the steps to find out
                # what an informative layer knows.
                nn.init.normal_(gate.weight, std=chosen.condition_filters**-0.5)

    def forward(
        self, condition: Conditions = None, null_mask: Tensor | None = None, batch_size: int | None = None
    ) -> ImageDistribution:
        """The distribution of images under a condition.

        Arguments:
            condition: None for the null condition; a tensor (B, C, h, w) or (B, C) if the decoder has one cell; a
                Condition; or several, whose images follow one another in the minibatch.
            null_mask: (B,), bool: True where an image sees the null condition instead.
            batch_size: how many images `sample` draws under the null condition (1 if not given).

        Raises:
            ValueError: the condition does not fit the decoder.
        """
        sizes = {batch_size} if batch_size is not None else set()
        if null_mask is not None:
            sizes.add(len(null_mask))
        if condition is not None:
            if not self.config.cells:
                raise ValueError("the decoder has no cells, so it cannot take a condition")
            sizes.add(length_of(condition))
        if len(sizes) > 1:
            raise ValueError(f"condition, null_mask and batch_size disagree on the number of images: {sorted(sizes)}")
        terms: list[tuple[Tensor, ...]] | None = None
        if self.conditioning is not None:
            maps = self.conditioning(condition, null_mask)
            width = 2 * self.config.architecture.filters
            terms = [gate(features).split(width, 1) for gate, features in zip(self.gates, maps, strict=True)]
        return ImageDistribution(self, terms, next(iter(sizes), None), fixed=condition is not None)

    @torch.no_grad()
    def initialise(self, x: Tensor, condition: Conditions = None, null_mask: Tensor | None = None) -> None:
        """Set gains and biases from data, so that pre-activations are normalised (arXiv 1602.07868, section 3).

        Runs in evaluation mode, so the result is a function of the weights and the minibatch.

        Arguments:
            x: (B, C, H, W), a minibatch of images.
            condition, null_mask: as for a call.
        """
        layers = [m for m in self.modules() if isinstance(m, (WeightNormConvolution, UpsamplingConvolution))]
        training = self.training
        self.eval()
        try:
            for layer in layers:
                layer.initialising = True
            self(condition, null_mask).log_prob(x)
        finally:
            for layer in layers:
                layer.initialising = False
            self.train(training)

    def standardise(self, cell: str, mean: Tensor, std: Tensor) -> None:
        """Set the mean and standard deviation per channel, (C,), by which a cell's activations are standardised.

        They are saved with the weights.

        Raises:
            ValueError: unknown cell or wrong shape.
        """
        if self.conditioning is None:
            raise ValueError("the decoder has no cells, so there is nothing to standardise")
        self.conditioning.standardise(cell, mean, std)

    def input_features(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) to the network's input (B, N, H, W), whose last channel is one.

        Raises:
            ValueError: wrong shape, or (on the CPU) values outside 0..intensities-1.
        """
        image = self.config.image
        if tuple(x.shape[1:]) != (image.channels, image.height, image.width):
            wanted = f"(B, {image.channels}, {image.height}, {image.width})"
            raise ValueError(f"images must be {wanted}, not {tuple(x.shape)}")
        if x.device.type == "cpu" and len(x) and (int(x.min()) < 0 or int(x.max()) >= image.intensities):
            raise ValueError(f"pixel values must be 0 to {image.intensities - 1}, not {x.min()} to {x.max()}")
        # (B, C, H, W, N) to (B, C N, H, W); the ones tell the image from its padding.
        features = F.embedding(x.long(), self.input_table).movedim(-1, 2).flatten(1, 2)
        # Channels last: the convolutions of few channels are up to twice as fast.
        return F.pad(features, (0, 0, 0, 0, 0, 1), value=1.0).contiguous(memory_format=torch.channels_last)

    def output_parameters(self, features: Tensor, terms: list[tuple[Tensor, ...]] | None) -> Tensor:
        """The network: (B, N, H, W) input features and the blocks' condition terms to (B, P, H, W)."""
        return self.readout(self.last_features(features, terms))

    def last_features(self, features: Tensor, terms: list[tuple[Tensor, ...]] | None) -> Tensor:
        """What the network knows of a pixel from those before it: the ELU of the left stream's end, (B, F, H, W).

        Arguments:
            features, terms: as for `output_parameters`, which are linear in what this returns.
        """
        levels = len(self.sizes)
        blocks = self.config.architecture.blocks
        upper = self.input_upper(features)
        left = self.input_row_above(features) + self.input_left(features)
        shortcuts: list[list[tuple[Tensor, Tensor]]] = []
        for level in range(levels):
            if level:
                upper = self.coarser_upper[level - 1](upper)
                left = self.coarser_left[level - 1](left)
            upper_activated, left_activated = concat_elu(upper), concat_elu(left)
            shortcuts.append([(upper_activated, left_activated)])
            for n in range(blocks):
                upper_term, left_term = terms[level][2 * n : 2 * n + 2] if terms else (None, None)
                upper = self.up_upper[level][n](upper, upper_activated, None, upper_term)
                upper_activated = concat_elu(upper)
                left = self.up_left[level][n](left, left_activated, upper_activated, left_term)
                left_activated = concat_elu(left)
                shortcuts[level].append((upper_activated, left_activated))
        shortcuts[-1].pop()
        for level in reversed(range(levels)):
            if level < levels - 1:
                upper, left = self.finer_upper[level](upper), self.finer_left[level](left)
                upper_activated, left_activated = concat_elu(upper), concat_elu(left)
            for n in range(len(self.down_upper[level])):
                first = 2 * (blocks + n)
                upper_term, left_term = terms[level][first : first + 2] if terms else (None, None)
                upper_shortcut, left_shortcut = shortcuts[level].pop()
                upper = self.down_upper[level][n](upper, upper_activated, upper_shortcut, upper_term)
                upper_activated = concat_elu(upper)
                auxiliary = torch.cat((upper_activated, left_shortcut), 1)
                left = self.down_left[level][n](left, left_activated, auxiliary, left_term)
                left_activated = concat_elu(left)
        # The first half of concat_elu is the ELU.
        return left_activated[:, : self.config.architecture.filters]
