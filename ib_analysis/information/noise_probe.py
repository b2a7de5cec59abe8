"""What a layer still holds of nuisance noise: independent symbols, one per pixel."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ib_analysis.information.features import Standardisation, pool_features
from ib_analysis.information.guard import Guard, check_places, unguarded
from ib_analysis.information.probe_fitting import (
    ParameterGroup,
    ProbeConfig,
    ProbePair,
    ProbeSplit,
    fit_probes,
)

__all__ = ["probe_noise"]


class _PixelSymbols:
    """A linear softmax over K symbols for every pixel, and one on a hidden layer.

    Spatial activations (C, h, w) are read by a 3x3 convolution whose outputs are rearranged into r x r pixels for
    each position; its weights are the same at every position. Vectors are read by a dense layer.
    """

    def __init__(
        self,
        training: Tensor,
        size: tuple[int, int],
        levels: int,
        hidden_units: int,
        generator: torch.Generator,
    ) -> None:
        self.standardisation = Standardisation.of(training)
        self.size, self.levels, self.spatial = size, levels, training.ndim == 4
        channels, device = training.shape[1], training.device
        # A vector is a grid of one position, read without a kernel.
        grid = tuple(training.shape[2:]) if self.spatial else (1, 1)
        kernel = (3, 3) if self.spatial else ()
        self.upsampling = (size[0] // grid[0], size[1] // grid[1])
        self.outputs = levels * math.prod(self.upsampling)
        self.inputs = channels * math.prod(kernel)
        weight = torch.zeros(self.outputs + hidden_units, channels, *kernel)
        weight[self.outputs :].normal_(0, math.sqrt(2 / self.inputs), generator=generator)
        self.weight = weight.to(device).requires_grad_()
        self.bias = torch.zeros(self.outputs + hidden_units, device=device, requires_grad=True)
        ones = (1,) * len(kernel)
        self.output_weight = torch.zeros(self.outputs, hidden_units, *ones, device=device, requires_grad=True)
        self.output_bias = torch.zeros(self.outputs, device=device, requires_grad=True)

    def parameter_groups(self) -> list[ParameterGroup]:
        return [
            ParameterGroup((self.weight,), inputs=self.inputs),
            ParameterGroup((self.output_weight,), inputs=self.output_weight.shape[1]),
            ParameterGroup((self.bias, self.output_bias), inputs=0),
        ]

    def logits(self, activations: Tensor) -> list[Tensor]:
        h = self.standardisation(activations)
        if self.spatial:
            first = functional.conv2d(h, self.weight, self.bias, padding=1)
            hidden = first[:, self.outputs :].relu()
            network = functional.conv2d(hidden, self.output_weight, self.output_bias)
        else:
            first = functional.linear(h, self.weight, self.bias)
            network = functional.linear(first[:, self.outputs :].relu(), self.output_weight, self.output_bias)
        return [self._pixels(first[:, : self.outputs]), self._pixels(network)]

    def _pixels(self, outputs: Tensor) -> Tensor:
        """(B, K r r, h, w) or (B, K H W) -> (B, K, H, W): each position's outputs are its r x r pixels."""
        batch = outputs.shape[0]
        rows, columns = self.upsampling
        grid = (self.size[0] // rows, self.size[1] // columns)
        pixels = outputs.reshape(batch, self.levels, rows, columns, *grid)
        return pixels.permute(0, 1, 4, 2, 5, 3).reshape(batch, self.levels, *self.size)


def probe_noise(
    activations: np.ndarray | Tensor,
    noise: np.ndarray | Tensor,
    size: tuple[int, int],
    split: ProbeSplit,
    config: ProbeConfig | None = None,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    guard: Guard = unguarded,
) -> ProbePair:
    """Fit probes that read the noise symbol of every pixel, and score them on the evaluation images.

    With noise that is independent from pixel to pixel and uniform on K values, the noise has H W log2 K bits and
    ``H W log2 K - mean(cross_entropy_bits)`` bounds the information that the layer has about it from below: the sum of
    the pixels' cross-entropies is at least H(noise | H), by the chain rule and because conditioning cannot raise an
    entropy (Cover & Thomas 2006, theorems 2.5.1 and 2.6.5). The probes are local (3x3 positions) where a layer's grid
    divides the image, so that they stay far below what a layer may hold: a decoder sees more.

    Arguments:
        activations: shape (N, C, h, w) or (N, C), any float dtype, training, validation and evaluation images in this
            order. A grid that does not divide the image is flattened (and first average-pooled to
            ``config.max_features``).
        noise: shape (N, H*W) or (N, H, W), integers 0..K-1.
        size: (H, W) of the noise; activations on a grid that is a multiple of it are folded into channels.
        split, config, seed, device, guard: as in `ib_analysis.information.probe.probe_targets`.

    Returns:
        The pair of probes; ``cross_entropy_bits`` is the sum over the pixels of an image, ``accuracy`` the share of
        right pixels.

    Raises:
        ValueError: shapes do not fit the split or the size.
        UserError: an activation is not finite, or the guard stops the fit.
    """
    config = config or ProbeConfig()
    h, symbols = torch.as_tensor(activations), torch.as_tensor(noise)
    if len(h) != split.total or len(symbols) != split.total:
        raise ValueError(
            f"There are {len(h)} activations and {len(symbols)} noise images, the split has {split.total}."
        )
    if symbols[0].numel() != math.prod(size):
        raise ValueError(f"The noise has {symbols[0].numel()} symbols per image, an image of {size} {math.prod(size)}.")
    symbols = symbols.reshape(len(symbols), *size).to(device).long()
    h = _fold(h, size)
    spatial = h.ndim == 4 and size[0] % h.shape[2] == 0 and size[1] % h.shape[3] == 0
    if not spatial:
        h = pool_features(h, config.max_features).flatten(1)
    h = h.to(device)
    # One position explains an r x r patch: the coarser the grid, the more hidden units per position.
    patch = math.isqrt(math.prod(size) // math.prod(h.shape[2:])) if spatial else 8
    hidden_units = max(1, config.hidden_units * patch // 8)
    generator = torch.Generator().manual_seed(seed)
    levels = int(symbols.max()) + 1
    check_places(guard, slice(0, split.n_training), "those that activations are standardised by")
    model = _PixelSymbols(h[: split.n_training], size, levels, hidden_units, generator)
    (pair,) = fit_probes(
        model,
        h,
        [symbols],
        split,
        config,
        seed=seed,
        batch_size=max(1, config.batch_size // 8) if spatial else config.batch_size,
        images_per_epoch=config.noise_images_per_epoch if spatial else None,
        guard=guard,
    )
    return pair


def _fold(h: Tensor, size: tuple[int, int]) -> Tensor:
    """Space to depth where the activations are finer than the noise: (B, C, H r, W r) to (B, C r r, H, W)."""
    if h.ndim != 4:
        return h
    fold = h.shape[2] // size[0]
    if fold < 2 or tuple(h.shape[2:]) != (size[0] * fold, size[1] * fold):
        return h
    return functional.pixel_unshuffle(h, fold)
