"""Spike-ins as conditions: the coins of an image as a map beside a layer's activations, or mixed into them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from decoders import Cell, Condition
from ib_analysis.activations import to_float16
from ib_analysis.data import image_space
from ib_analysis.experiment import ExperimentConfig
from ib_analysis.spike_ins import Mixing, coin_map, coin_pixels, draw_coins, mixing_for, overwrite
from ib_analysis.spike_ins.coins import ShownAs

__all__ = ["COINS", "SpikeIns", "Variant", "spike_ins_for"]

Variant = Literal["plain", "spike_in", "spike_in_mixed"]
"""Activations as they are; with the map of coins beside them; with the coins mixed into them."""

COINS = "spike_in"
"""The cell, and its layer, of the map of coins."""


@dataclass
class SpikeIns:
    """The coins of all images, and how they are handed to a decoder.

    Arguments:
        coins: shape (N, m), uint8, 0 or 1, in the order of activations.
        pixels: where the images show them, row * W + column.
        size: (H, W) of the images.
        mixings: layer -> how coins are mixed into it; None where that is impossible.
        scales: cell -> factor of its mixed coins; `calibrate` adds to it.
        shown_as, intensities: how images show them (see `overwrite`).
        redraw: whether the coins of training images fall anew each time.
    """

    coins: np.ndarray
    pixels: tuple[int, ...]
    size: tuple[int, int]
    mixings: Mapping[str, Mixing | None]
    scales: dict[str, float] = field(default_factory=dict)
    shown_as: ShownAs = "extremes"
    intensities: int = 256
    redraw: bool = False

    def fallen(self, images: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """The coins of images, shape (n, m).

        Arguments:
            images: their numbers, (n,).
            rng: of a training minibatch, which may have coins of its own; None: those that stay.
        """
        if rng is None or not self.redraw:
            return self.coins[images]
        return (rng.random((len(images), len(self.pixels))) < 0.5).astype(np.uint8)

    def show(self, images: Tensor, coins: np.ndarray) -> Tensor:
        """The images with coins: shape (n, C, H, W), uint8. What coins they showed before does not matter."""
        return torch.from_numpy(overwrite(images.numpy(), coins, self.pixels, self.intensities, self.shown_as))

    def variants(self, layer: str) -> tuple[Variant, ...]:
        """How the activations of a layer can be read."""
        return ("plain", "spike_in") if self.mixings[layer] is None else ("plain", "spike_in", "spike_in_mixed")

    def decoder_cells(self, cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
        """A decoder's cells, with those of mixed activations and that of the coins.

        Mixed activations are a layer of their own: what is read from them is another function than what is read from
        the plain ones.
        """
        mixed = tuple(
            Cell(f"{cell.name}_spike_in_mixed", f"{cell.layer}_spike_in_mixed", cell.shape)
            for cell in cells
            if "spike_in_mixed" in self.variants(cell.layer)
        )
        return (*cells, *mixed, Cell(COINS, COINS, (1, *self.size)))

    def calibrate(self, cell: str, layer: str, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
        """Fix the factor of a cell's mixed coins.

        Arguments:
            cell: its name.
            layer: its layer, which must have a mixing.
            mean, deviation: of each channel over the training part, (C,).

        Returns:
            Mean and standard deviation of each channel with the coins: (C,), float32. Coins are independent of the
            activations and have mean 0, so that variances add up.
        """
        mixing = self.mixings[layer]
        assert mixing is not None
        self.scales[cell] = mixing.scale(deviation)
        variance = deviation.double().square() + self.scales[cell] ** 2 * mixing.channel_variances()
        return mean, variance.sqrt().float()

    def condition(self, plain: Condition, layer: str, variant: Variant, coins: np.ndarray) -> Condition:
        """The condition of images in one variant.

        Arguments:
            plain: their activations.
            coins: that they show, shape (n, m).
        """
        if variant == "plain":
            return plain
        if variant == "spike_in":
            shown = torch.from_numpy(coin_map(coins, self.pixels, *self.size))
            return Condition(plain.activations, plain.cell, beside=(Condition(shown, COINS),))
        mixing = self.mixings[layer]
        assert mixing is not None
        added = self.scales[plain.cell] * mixing(torch.from_numpy(2.0 * coins - 1.0))
        both = plain.activations.double() + added.to(plain.activations.device)
        mixed = to_float16(both)[0] if plain.activations.dtype == torch.float16 else both.float()
        return Condition(mixed, f"{plain.cell}_spike_in_mixed")


def spike_ins_for(
    config: ExperimentConfig,
    size: tuple[int, int],
    shapes: Mapping[str, tuple[int, ...]],
    n_decoder: int,
    n_evaluation: int,
) -> SpikeIns | None:
    """An experiment's spike-ins; None if it has none.

    Arguments:
        size: (H, W) of the images.
        shapes: layer -> shape of one image's activations.
        n_decoder, n_evaluation: images of the two splits.
    """
    count, options = config.spike_in, config.spike_in_options
    if count == 0:
        return None
    pixels = coin_pixels(count, *size, options.seed)
    coins = np.concatenate(
        [
            draw_coins(n_decoder, count, "decoder", options.seed),
            draw_coins(n_evaluation, count, "evaluation", options.seed),
        ]
    )
    mixings = {layer: mixing_for(shape, size, pixels, options.mixing, options.seed) for layer, shape in shapes.items()}
    intensities = image_space(config.data, recheck=False).intensities
    return SpikeIns(
        coins, pixels, size, mixings, shown_as=options.shown_as, intensities=intensities, redraw=options.redraw
    )
