"""What a user chooses about the calibration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from decoders.config import Architecture, ReaderArchitecture
from decoders.fitting.certificate import check_judgeable
from decoders.fitting.fit import FittingConfig
from ib_analysis.artifacts import UserError
from ib_analysis.data import FactorsConfig
from ib_analysis.studies.calibration.sources import SplitSizes

__all__ = ["CalibrationConfig"]


@dataclass(frozen=True)
class CalibrationConfig:
    """Decoders on images and channels of exactly known information. Any field can be set by --field value.

    Raises:
        UserError: a setting that cannot work.
    """

    name: str = "calibration"
    """Folder of this calibration under the checkpoints and figures folders."""
    coins: tuple[int, ...] = (1, 4, 16, 64, 256)
    """Numbers of coins in an image, each a source of its own: square numbers, or three times one for colour."""
    full: bool = False
    """Whether `full_coins` are done as well: hours on a GPU, and out of reach without one."""
    full_coins: tuple[int, ...] = (1024, 3072)
    """Further numbers of coins: 32x32 images in grey and in colour."""
    factors: bool = True
    """Whether the procedural images are done, whose symbols are the six factors."""
    erasure_rates: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    """Erasure channels: from everything that can be known to nothing. Multiples of 0.001."""
    flip_probabilities: tuple[float, ...] = (0.03, 0.11)
    """Binary symmetric channels, for coins only; at 0.11 half a bit of each coin arrives. Multiples of 0.001."""
    noise_bits: int = 7
    """Bits of uniform noise in every pixel (and channel) of a coin image, 0 to 7; with 7 all 256 intensities occur."""
    least_side: int = 8
    """Height and width of coin images in pixels, at least."""
    factor_images: FactorsConfig = field(default_factory=FactorsConfig)
    """Size and noise of the procedural images; the numbers of images in it are not used."""
    splits: SplitSizes = field(default_factory=SplitSizes)
    """Numbers of images."""
    group_size: int = 8
    """Images of a minibatch that see the same channel: as in an experiment, a minibatch is made of whole groups."""
    reader: Literal["gated", "deep"] = "gated"
    """What reads the channels: `gated`, a PixelCNN++ for all channels of a source; `deep`, a reader for all channels of
    one kind on a base of the source's images, which then is L0."""
    reader_network: ReaderArchitecture = field(default_factory=ReaderArchitecture)
    """Size of a `deep` reader."""
    base_network: Architecture = field(default_factory=Architecture)
    """Size and output distribution of the bases of `deep` readers, one for each source."""
    base_fitting: FittingConfig = field(default_factory=FittingConfig)
    """How bases are fitted."""
    decoder: Architecture = field(default_factory=Architecture)
    """Size and output distribution of `gated` decoders."""
    fitting: FittingConfig = field(default_factory=FittingConfig)
    """How decoders and readers are fitted."""
    full_decoder: Architecture = field(default_factory=Architecture)
    """The decoders of `full_coins`."""
    full_fitting: FittingConfig = field(default_factory=FittingConfig)
    """How those are fitted."""
    decoder_seeds: tuple[int, ...] = (0,)
    """Every decoder is fitted once per seed; of their null conditions, the best on the validation images is L0."""
    seed: int = 0
    """Seed of the images and of the channels' noise."""
    confidence: float = 0.95
    """Level of the bootstrap intervals."""
    resamples: int = 2000
    """Bootstrap resamples of the evaluation images per interval."""
    workers: int = 0
    """Processes that work side by side; 0: one per core without a GPU, one with a GPU. Does not change numbers."""
    threads: int = 1
    """Threads of each process."""
    checkpoints: str = "checkpoints"
    """Folder for everything that is computed."""
    figures: str = "figures"
    """Folder for figures."""

    def __post_init__(self) -> None:
        if not self.name or any(character in self.name for character in "/\\\0") or self.name.startswith("."):
            raise UserError(f"name is {self.name!r}; it names a folder: use letters, digits, '-' and '_'.")
        for name in ("erasure_rates", "flip_probabilities"):
            for value in getattr(self, name):
                if not 0 <= value <= 1 or abs(1000 * value - round(1000 * value)) > 1e-9:
                    raise UserError(f"{name} holds {value}; choose multiples of 0.001 between 0 and 1.")
        for name in ("coins", "full_coins", "erasure_rates", "flip_probabilities", "decoder_seeds"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise UserError(f"{name} is {list(values)}; give each value once.")
        if not self.erasure_rates:
            raise UserError("erasure_rates is empty; give at least one rate, for instance 0.5.")
        if not self.decoder_seeds:
            raise UserError("decoder_seeds is empty; give at least one seed.")
        if not self.coins and not self.factors and not (self.full and self.full_coins):
            raise UserError("there is nothing to calibrate on; give coins, or set factors to true.")
        if set(self.coins) & set(self.full_coins):
            raise UserError("coins and full_coins share a number; each source is fitted once.")
        if min(self.decoder_seeds) < 0 or self.seed < 0:
            raise UserError("seed and decoder_seeds are whole numbers from 0 on.")
        if not 0 < self.confidence < 1 or self.resamples < 1:
            raise UserError("confidence must lie between 0 and 1, and resamples be at least 1.")
        if self.threads < 1 or self.workers < 0:
            raise UserError("threads must be at least 1 and workers at least 0 (0: one per core).")
        if self.reader not in ("gated", "deep"):
            raise UserError(f"reader is {self.reader!r}; choose gated or deep.")
        if self.reader == "deep" and self.base_fitting.batch_size % max(1, self.group_size):
            raise UserError(
                f"base_fitting.batch_size is {self.base_fitting.batch_size}; choose a multiple of group_size "
                f"({self.group_size}): a minibatch is made of whole groups."
            )
        for name, fitting in (("fitting", self.fitting), ("full_fitting", self.full_fitting)):
            try:
                check_judgeable(fitting, name)
            except ValueError as error:
                raise UserError(str(error)) from error
            if self.group_size < 1 or fitting.batch_size % self.group_size:
                raise UserError(
                    f"the batch sizes ({self.fitting.batch_size}, {self.full_fitting.batch_size}) must be multiples of "
                    f"group_size ({self.group_size}): a minibatch is made of whole groups."
                )
            if self.reader == "gated" and not 0 < fitting.null_share < 1:
                raise UserError(
                    f"fitting.null_share is {fitting.null_share}; choose a share between 0 and 1, so that both L0 and "
                    "the conditions are fitted."
                )
