"""Procedural images whose every bit is accounted for: independent uniform factors plus noise of known
entropy.

An image is ``x = K * clean + noise`` with noise independent and uniform in 0..K-1 at every pixel, or in every square of
``noise_grain`` pixels, so ``x // K`` and ``x % K`` give both back. The clean image shows one glyph (the class) at one
of 3 x 3 positions, at one of 2 scales, in one of 4 foreground intensities on one of 4 background intensities. Every
factor is uniform and independent of the others and the renderer is injective, so the entropies are exact::

    H(X) = log2(10 * 3 * 3 * 2 * 4 * 4) + (size / noise_grain)^2 * log2(K)        H(Y) = log2(10)        (bits)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache

import numpy as np

from ib_analysis.artifacts import UserError
from ib_analysis.data.config import DataConfig, FactorsConfig
from ib_analysis.data.interface import ImageData, Progress, Source, Space, Split
from ib_analysis.data.splits import validation_size

__all__ = ["CLASS_NAMES", "FACTOR_LEVELS", "SOURCE", "draw", "enumerate_images", "factor_bits", "render"]

# Every glyph touches all four sides of its box: the box then tells position and scale, and the renderer is
# injective as soon as the glyphs differ.
GLYPHS = {
    "square": "### ### ###",
    "ring": "### #.# ###",
    "saltire": "#.# .#. #.#",
    "triangle": "#.. ##. ###",
    "cross": ".#. ### .#.",
    "L": "#.. #.. ###",
    "T": "### .#. .#.",
    "U": "#.# #.# ###",
    "H": "#.# ### #.#",
    "Z": "##. .#. .##",
}
CLASS_NAMES = tuple(GLYPHS)
GLYPH_SIZE = 3
SCALES = (1, 2)
N_POSITIONS = 3
N_BACKGROUNDS = 4
CLEAN_LEVELS = 8

FACTOR_LEVELS: dict[str, int] = {
    "shape": len(GLYPHS),
    "x": N_POSITIONS,
    "y": N_POSITIONS,
    "scale": len(SCALES),
    "foreground": CLEAN_LEVELS - N_BACKGROUNDS,
    "background": N_BACKGROUNDS,
}
"""Number of values of each factor; each is uniform and independent of the others. `shape` is the class."""


@cache
def _masks(size: int) -> np.ndarray:
    """Which pixels belong to the glyph: shape (shapes, scales, y, x, size, size), bool."""
    masks = np.zeros((len(GLYPHS), len(SCALES), N_POSITIONS, N_POSITIONS, size, size), dtype=bool)
    for shape, drawing in enumerate(GLYPHS.values()):
        glyph = np.array([[mark == "#" for mark in row] for row in drawing.split()])
        for scale, factor in enumerate(SCALES):
            drawn = np.kron(glyph, np.ones((factor, factor), dtype=bool))
            side = GLYPH_SIZE * factor
            # Positions are spread over all the room that this scale leaves: 0, 2, 5 and 0, 1, 2 at size 8.
            offsets = np.rint(np.linspace(0, size - side, N_POSITIONS)).astype(int)
            for y, top in enumerate(offsets):
                for x, left in enumerate(offsets):
                    masks[shape, scale, y, x, top : top + side, left : left + side] = drawn
    masks.setflags(write=False)
    return masks


def render(factors: Mapping[str, np.ndarray], size: int = 8) -> np.ndarray:
    """Draw clean images; injective in the factors.

    Arguments:
        factors: the names of `FACTOR_LEVELS` -> integers, shape (N,).
        size: side in pixels, at least 8.

    Returns:
        shape (N, size, size), uint8: background 0..3, foreground 4..7.

    >>> zero = {name: np.array([0]) for name in FACTOR_LEVELS}
    >>> render({**zero, "shape": np.array([CLASS_NAMES.index("L")])})[0, :4, :4]
    array([[4, 0, 0, 0],
           [4, 0, 0, 0],
           [4, 4, 4, 0],
           [0, 0, 0, 0]], dtype=uint8)
    """
    mask = _masks(size)[factors["shape"], factors["scale"], factors["y"], factors["x"]]
    foreground = (np.asarray(factors["foreground"]) + N_BACKGROUNDS).astype(np.uint8)
    background = np.asarray(factors["background"]).astype(np.uint8)
    return np.where(mask, foreground[:, None, None], background[:, None, None])


def factor_bits(config: FactorsConfig) -> dict[str, float]:
    """The exact entropy of each factor and of the noise, in bits; their sum is H(X).

    >>> bits = factor_bits(FactorsConfig())
    >>> bits["scale"], bits["noise"], round(sum(bits.values()), 3)
    (1.0, 64.0, 75.492)
    """
    bits = {name: math.log2(levels) for name, levels in FACTOR_LEVELS.items()}
    return {**bits, "noise": (config.size // config.noise_grain) ** 2 * math.log2(config.noise_levels)}


def draw(n: int, config: FactorsConfig, rng: np.random.Generator) -> Split:
    """Draw n independent images.

    >>> split = draw(5, FactorsConfig(noise_levels=3), np.random.default_rng(0))
    >>> split.images.shape, bool((split.images[:, 0] // 3 == render(split.factors)).all())
    ((5, 1, 8, 8), True)
    """
    factors = {name: rng.integers(levels, size=n) for name, levels in FACTOR_LEVELS.items()}
    side = config.size // config.noise_grain
    noise = rng.integers(config.noise_levels, size=(n, side, side), dtype=np.uint8)
    return Split(
        images=_with_noise(factors, noise, config),
        labels=factors["shape"].astype(np.int64),
        source_index=np.arange(n, dtype=np.int64),
        factors={**factors, "noise": noise.reshape(n, -1)},
    )


def enumerate_images(config: FactorsConfig) -> np.ndarray:
    """Every image that there is, once: all are equally likely.

    Returns:
        shape (2^H(X), 1, size, size), uint8: for few noise levels in large grains only.

    >>> enumerate_images(FactorsConfig(noise_levels=1)).shape
    (2880, 1, 8, 8)
    """
    side = config.size // config.noise_grain
    left = np.arange(math.prod(FACTOR_LEVELS.values()) * config.noise_levels ** (side**2))
    factors, noise = {}, []
    for name, levels in FACTOR_LEVELS.items():
        left, factors[name] = np.divmod(left, levels)
    for _ in range(side**2):
        left, value = np.divmod(left, config.noise_levels)
        noise.append(value)
    return _with_noise(factors, np.stack(noise, axis=1).reshape(-1, side, side), config)


def _with_noise(factors: Mapping[str, np.ndarray], noise: np.ndarray, config: FactorsConfig) -> np.ndarray:
    """Images of factors and of a noise value per grain: (N, size/grain, size/grain) to (N, 1, size, size), uint8."""
    spread = noise.repeat(config.noise_grain, axis=1).repeat(config.noise_grain, axis=2)
    return (config.noise_levels * render(factors, config.size) + spread)[:, None].astype(np.uint8)


def _check(config: DataConfig) -> None:
    size_and_levels = "data.factors.size and data.factors.noise_levels"
    numbers = "data.factors.n_encoder, n_decoder and n_evaluation"
    for name, off, instead in (
        ("resolution", None, size_and_levels),
        ("greyscale", False, size_and_levels),
        ("bits", None, size_and_levels),
        ("per_class", None, numbers),
        ("evaluation_per_class", None, numbers),
    ):
        if getattr(config, name) != off:
            raise UserError(
                f"data.{name} cannot be set for the source 'factors', whose entropies are exact only as "
                f"drawn; use {instead} instead."
            )


def load(config: DataConfig, progress: Progress | None = None, recheck: bool = True) -> ImageData:
    """Draw the three splits from three independent streams of the seed.

    Raises:
        UserError: an option is set that would change the images' known entropies.
    """
    _check(config)
    settings = config.factors
    splits = []
    for stream, n in enumerate((settings.n_encoder, settings.n_decoder, settings.n_evaluation)):
        splits.append(draw(n, settings, np.random.default_rng([config.seed, stream])))
    bits = factor_bits(settings)
    return ImageData(
        name="factors",
        intensities=CLEAN_LEVELS * settings.noise_levels,
        class_names=CLASS_NAMES,
        encoder=splits[0],
        decoder=splits[1],
        evaluation=splits[2],
        n_validation=validation_size(len(splits[1]), config.validation_share),
        h_x_bits=sum(bits.values()),
        h_y_bits=bits["shape"],
        factor_bits=bits,
        augment=bool(config.augment),
    )


def space(config: DataConfig, recheck: bool = True) -> Space:
    """One channel; 8 clean levels times the noise levels."""
    _check(config)
    side = config.factors.size
    return Space((1, side, side), CLEAN_LEVELS * config.factors.noise_levels, len(GLYPHS))


def sizes(config: DataConfig, recheck: bool = True) -> dict[str, int]:
    """As configured."""
    _check(config)
    settings = config.factors
    return {
        "encoder": settings.n_encoder,
        "decoder": settings.n_decoder,
        "evaluation": settings.n_evaluation,
    }


SOURCE = Source(load=load, space=space, sizes=sizes)
