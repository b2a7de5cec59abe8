"""The coins: where they lie, how they fall, and how images show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ib_analysis.artifacts import UserError

__all__ = ["Coins", "ShownAs", "check", "coin_map", "coin_pixels", "draw_coins", "overwrite"]

# Keeps these random streams apart from those of data sources with equal seeds.
_TAG = 0x5B1CE
_PIXELS, _COINS = 0, 1
ShownAs = Literal["extremes", "least_significant_bit"]
"""0 or the largest intensity, or the lowest bit."""

_SPLITS = {"decoder": 0, "evaluation": 1}


def check(count: int, height: int, width: int) -> None:
    """Whether an image has room for the coins.

    Raises:
        UserError: fewer than no coins, or more than a quarter of the pixels.
    """
    if count < 0:
        raise UserError(f"spike_in is {count}; choose the number of coins per image, or 0 for none.")
    most = height * width // 4
    if count > most:
        raise UserError(
            f"spike_in is {count}, but images of {height}x{width} pixels have room for at most {most} coins (a quarter "
            "of the pixels); choose fewer."
        )


def coin_pixels(count: int, height: int, width: int, seed: int) -> tuple[int, ...]:
    """The pixels that show the coins, the same in all images: ascending row * width + column.

    >>> coin_pixels(4, 8, 8, seed=0) == coin_pixels(4, 8, 8, seed=0)
    True
    """
    chosen = np.random.default_rng([_TAG, _PIXELS, seed]).choice(height * width, count, replace=False)
    return tuple(sorted(int(pixel) for pixel in chosen))


def draw_coins(n: int, count: int, split: Literal["decoder", "evaluation"], seed: int) -> np.ndarray:
    """The coins of a split's first n images: shape (n, count), uint8, 0 or 1.

    Functions of seed, split and the image's index alone: whatever the images show, and the encoder does, says nothing
    about them.

    >>> coins = draw_coins(3, 8, "decoder", seed=0)
    >>> bool((coins == draw_coins(5, 8, "decoder", seed=0)[:3]).all())
    True
    """
    rng = np.random.default_rng([_TAG, _COINS, seed, _SPLITS[split]])
    return (rng.random((n, count)) < 0.5).astype(np.uint8)


def overwrite(
    images: np.ndarray,
    coins: np.ndarray,
    pixels: Sequence[int],
    intensities: int,
    shown_as: ShownAs = "extremes",
) -> np.ndarray:
    """Images that show coins; all channels of a coin's pixel show the same coin.

    Either way every image tells its coins, and without them nothing does: H(coins | rest of the image) is their number.
    Least significant bits come in pairs of intensities (2k, 2k + 1). With an odd number of intensities the largest
    has no partner; it is lowered by one first.

    Arguments:
        images: shape (N, C, H, W), uint8, 0..intensities-1; not changed.
        coins: shape (N, m), 0 or 1.
        pixels: m places, row * W + column.
        intensities: at least 2.
        shown_as: 0 or intensities - 1, or in the lowest bit.

    Returns:
        shape (N, C, H, W), uint8.

    >>> image = np.full((1, 1, 2, 2), 6, dtype=np.uint8)
    >>> overwrite(image, np.array([[1, 0]]), (0, 3), 16).ravel().tolist()
    [15, 6, 6, 0]
    >>> overwrite(image, np.array([[1, 0]]), (0, 3), 16, "least_significant_bit").ravel().tolist()
    [7, 6, 6, 6]
    """
    places = list(pixels)
    shown = images.reshape(*images.shape[:2], -1).copy()
    fallen = coins[:, None, :].astype(np.uint8)
    if shown_as == "extremes":
        shown[:, :, places] = fallen * np.uint8(intensities - 1)
    else:
        pairs = np.minimum(shown[:, :, places] // 2, intensities // 2 - 1)
        shown[:, :, places] = 2 * pairs + fallen
    return shown.reshape(images.shape)


@dataclass(frozen=True)
class Coins:
    """Everything about coins that images tell: how many there are, where they lie, and how they look.

    >>> Coins(4).pixels(8, 8) == coin_pixels(4, 8, 8, seed=0)
    True
    """

    count: int
    shown_as: ShownAs = "extremes"
    seed: int = 0

    def pixels(self, height: int, width: int) -> tuple[int, ...]:
        """See `coin_pixels`."""
        return coin_pixels(self.count, height, width, self.seed)

    def shown(self, images: np.ndarray, coins: np.ndarray, intensities: int) -> np.ndarray:
        """See `overwrite`."""
        return overwrite(images, coins, self.pixels(*images.shape[2:]), intensities, self.shown_as)


def coin_map(coins: np.ndarray, pixels: Sequence[int], height: int, width: int) -> np.ndarray:
    """Coins at their pixels: (n, m) of 0 or 1 to (n, 1, H, W) float16, -1 or +1 there and 0 elsewhere.

    >>> coin_map(np.array([[1, 0]]), (0, 3), 2, 2).tolist()
    [[[[1.0, 0.0], [0.0, -1.0]]]]
    """
    values = np.zeros((len(coins), height * width), dtype=np.float16)
    values[:, list(pixels)] = 2 * coins.astype(np.float16) - 1
    return values.reshape(-1, 1, height, width)
