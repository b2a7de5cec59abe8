"""Images whose entropy, and whose symbols' entropies, are known exactly.

A source draws images that are an injective function of independent uniform symbols and of independent uniform noise, so
that every image that can occur has the probability 2^-H(X). It knows its symbols; `channels` says what is left of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from ib_analysis.data import DataConfig, FactorsConfig, ImageData, Split, load_data
from ib_analysis.data.factors import FACTOR_LEVELS
from ib_analysis.studies.calibration.channels import ChannelName

__all__ = ["CoinImages", "FactorImages", "Source", "SplitSizes", "symbols_in_order"]

DARK, BRIGHT = 64, 192
"""Mean intensities of the two sides of a coin."""


@dataclass(frozen=True)
class SplitSizes:
    """How many images are drawn."""

    fitting: int = 40_000
    """Images that decoders are fitted to. More than a fit looks at cost next to nothing and cannot be learned by
    heart."""
    validation: int = 2000
    """Images by which the best step of a fit, and the common L0, are chosen."""
    evaluation: int = 2000
    """Images on which information is estimated."""

    def __post_init__(self) -> None:
        if min(self.fitting, self.validation) < 1 or self.evaluation < 2:
            raise ValueError("a calibration needs images for fitting and validation, and two or more for evaluation.")


@dataclass(frozen=True)
class CoinImages:
    """m fair coins, each shown by the pixels of a block, in 8-bit images with uniform noise.

    A pixel is ``64 + 128 coin - 2^(b-1) + noise`` with noise independent and uniform in 0..2^b-1, so that

        H(X) = m + (pixels and channels) b        (bits).

    The coins form a square grid, or three of them in colour; the image has one pixel or a block of pixels for each.

    Arguments:
        coins: m, a square number (grey) or three times one (colour).
        noise_bits: b, 0 to 7.
        least_side: height and width of the image in pixels, at least.

    Raises:
        ValueError: m is no such number, or the noise would hide the coins.

    >>> source = CoinImages(16)
    >>> source.image_shape, source.grid, source.h_x_bits
    ((1, 8, 8), (1, 4, 4), 464.0)
    >>> CoinImages(3072).image_shape
    (3, 32, 32)
    """

    coins: int
    noise_bits: int = 7
    least_side: int = 8

    kinds: ClassVar[tuple[ChannelName, ...]] = ("erasure", "flip")

    def __post_init__(self) -> None:
        if self.coins < 1 or math.prod(self.grid) != self.coins:
            raise ValueError(f"coins holds {self.coins}; choose square numbers (grey) or three times one (colour).")
        if not 0 <= self.noise_bits <= 7:
            raise ValueError(f"noise_bits is {self.noise_bits}; choose 0 to 7, so that the coins stay visible.")

    @property
    def name(self) -> str:
        return f"coins_{self.coins:04d}"

    @property
    def grid(self) -> tuple[int, int, int]:
        """(channels, rows, columns) of the coins."""
        for channels in (1, 3):
            side = math.isqrt(self.coins // channels)
            if channels * side * side == self.coins:
                return channels, side, side
        return 0, 0, 0

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width): the smallest side that is large enough and shows all coins alike."""
        channels, side, _ = self.grid
        pixels = side * -(-self.least_side // side)
        return channels, pixels, pixels

    @property
    def levels(self) -> np.ndarray:
        """Number of values of every symbol: shape (C, rows, columns)."""
        return np.full(self.grid, 2)

    @property
    def h_x_bits(self) -> float:
        """Entropy of an image."""
        return float(self.coins + math.prod(self.image_shape) * self.noise_bits)

    def load(self, sizes: SplitSizes, seed: int) -> ImageData:
        """Draw the splits from independent streams; nothing is drawn for an encoder, as there is none."""
        n_decoder = sizes.fitting + sizes.validation
        draws = [self.draw(n, np.random.default_rng([seed, k])) for k, n in enumerate((0, n_decoder, sizes.evaluation))]
        encoder, decoder, evaluation = draws
        noise = self.h_x_bits - self.coins
        return ImageData(
            name=self.name,
            intensities=256,
            class_names=("coins",),
            encoder=encoder,
            decoder=decoder,
            evaluation=evaluation,
            n_validation=sizes.validation,
            h_x_bits=self.h_x_bits,
            h_y_bits=0.0,
            factor_bits={"symbols": float(self.coins), "noise": noise},
        )

    def draw(self, n: int, rng: np.random.Generator) -> Split:
        """Draw n independent images.

        >>> split = CoinImages(4).draw(3, np.random.default_rng(0))
        >>> bool(((split.images[:, :, ::4, ::4] > 127) == split.factors["symbols"]).all())
        True
        """
        coins = rng.integers(2, size=(n, *self.grid), dtype=np.uint8)
        _, height, _ = self.image_shape
        block = height // self.grid[1]
        shown = coins.repeat(block, axis=2).repeat(block, axis=3)
        noise = rng.integers(2**self.noise_bits, size=(n, *self.image_shape), dtype=np.uint8)
        lowest = DARK - (1 << self.noise_bits) // 2
        images = lowest + (BRIGHT - DARK) * shown + noise
        return Split(
            images=images.astype(np.uint8),
            labels=np.zeros(n, dtype=np.int64),
            source_index=np.arange(n, dtype=np.int64),
            factors={"symbols": coins},
        )


@dataclass(frozen=True)
class FactorImages:
    """The procedural images of `ib_analysis.data.factors`, with their six factors as the symbols.

    Arguments:
        config: their size and noise; the numbers of images in it are not used.

    >>> FactorImages().levels.shape
    (6,)
    """

    config: FactorsConfig = field(default_factory=FactorsConfig)

    kinds: ClassVar[tuple[ChannelName, ...]] = ("erasure",)
    name: ClassVar[str] = "factors"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return 1, self.config.size, self.config.size

    @property
    def levels(self) -> np.ndarray:
        """Number of values of every factor: shape (6,)."""
        return np.array(list(FACTOR_LEVELS.values()))

    @property
    def h_x_bits(self) -> float:
        """Entropy of an image."""
        noise = (self.config.size // self.config.noise_grain) ** 2 * math.log2(self.config.noise_levels)
        return float(np.log2(self.levels).sum()) + noise

    def load(self, sizes: SplitSizes, seed: int) -> ImageData:
        """Draw the splits (a single image for the encoder, as there is none)."""
        n_decoder = sizes.fitting + sizes.validation
        settings = replace(self.config, n_encoder=1, n_decoder=n_decoder, n_evaluation=sizes.evaluation)
        share = sizes.validation / n_decoder
        data = load_data(DataConfig(source="factors", validation_share=share, seed=seed, factors=settings))

        def with_symbols(split: Split) -> Split:
            symbols = np.stack([split.factors[name] for name in FACTOR_LEVELS], axis=1)
            return replace(split, factors={"symbols": symbols.astype(np.uint8)})

        return replace(
            data, decoder=with_symbols(data.decoder), evaluation=with_symbols(data.evaluation),
            n_validation=sizes.validation,
        )  # fmt: skip


Source = CoinImages | FactorImages


def symbols_in_order(data: ImageData) -> np.ndarray:
    """Symbols of the decoder images, then of the evaluation images: shape (N, *S), uint8."""
    return np.concatenate([data.decoder.factors["symbols"], data.evaluation.factors["symbols"]])
