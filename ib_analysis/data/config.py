"""What a user chooses about the images: where they come from and in which form they are used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from ib_analysis.artifacts import UserError

__all__ = ["PLACES", "DataConfig", "FactorsConfig", "SourceName"]

FILE_SOURCES = ("image_folder", "cinic10")
PLACES = ("root", "folder", "group_file")
"""Fields that say where data lie and not what they are."""

SourceName = Literal["factors", "digits", "cifar10", "cifar100", "cinic10", "image_folder", "activations_file"]


def require(condition: bool, sentence: str) -> None:
    """Refuse a setting with one clear sentence."""
    if not condition:
        raise UserError(sentence)


@dataclass(frozen=True)
class FactorsConfig:
    """The procedural images (see `ib_analysis.data.factors`): how large, how noisy, how many.

    Raises:
        UserError: a field is out of its range.
    """

    size: int = 8
    """Side of the image in pixels, 8 to 64; at 8 the larger glyphs (6 pixels) stand at offsets 0, 1 and 2."""
    noise_levels: int = 2
    """K: noise is uniform in 0..K-1 and adds exactly log2 K bits per symbol; 1 is no noise."""
    noise_grain: int = 1
    """Side in pixels of the squares that share one noise symbol; it must divide the size. 2 has a quarter of the bits
    of noise in every pixel."""
    n_encoder: int = 6000
    """Images that train the encoder."""
    n_decoder: int = 6000
    """Images that train decoders and probes; the last of them are the validation slice."""
    n_evaluation: int = 1000
    """Images that are only evaluated."""

    def __post_init__(self) -> None:
        require(
            8 <= self.size <= 64,
            f"data.factors.size is {self.size}; choose a side between 8 and 64 pixels.",
        )
        require(
            1 <= self.noise_levels <= 32,
            f"data.factors.noise_levels is {self.noise_levels}; choose 1 (no noise) to 32, so that the 8 "
            "clean levels times the noise levels fit in 256 intensities.",
        )
        require(
            1 <= self.noise_grain <= self.size and self.size % self.noise_grain == 0,
            f"data.factors.noise_grain is {self.noise_grain}; choose a divisor of data.factors.size ({self.size}).",
        )
        for name, least in (("n_encoder", 1), ("n_decoder", 2), ("n_evaluation", 1)):
            found = getattr(self, name)
            require(found >= least, f"data.factors.{name} is {found}; choose at least {least}.")


@dataclass(frozen=True)
class DataConfig:
    """Which images, in which form, and how many of them.

    Raises:
        UserError: a field is out of its range.

    >>> DataConfig(source="cifar10", resolution=16, greyscale=True, bits=3).resolution
    16
    """

    source: SourceName = "factors"
    """Where the images come from; `factors` and `digits` need neither files nor a network. `activations_file` is what
    the setting activations_file chooses."""
    root: str | None = None
    """The folder that holds data sets; by default the environment variable IB_DATA_ROOT, else `data`."""
    folder: str | None = None
    """A tree split/class/image or class/image of files (PNG, JPEG, WebP, BMP, TIFF, GIF or PNM, 8 bits per channel), or
    a tar of one; relative to the root, or absolute. Photos are turned upright as their EXIF orientation says. Used by
    `image_folder`, and by `cinic10` where it does not lie in its usual place. Of `activations_file`: the file."""
    background: Literal["white", "black"] = "white"
    """What is seen through the transparent pixels of image files."""
    group_folders: bool = False
    """Whether images that belong together (frames of a video, pictures of a patient) lie in a folder of their own
    below their class, class/group/image or split/class/group/image: all images of a group, which is whatever has one
    folder name, in any class, fall to the same split, and to the same side of the validation slice."""
    group_file: str | None = None
    """The same from a CSV file with the columns file (path inside `folder`) and group, and a line for every image;
    relative to the root, or absolute. For trees without group folders. Give every image that is like no other a group
    of its own."""
    resolution: int | None = None
    """Side in pixels, 4 to 256, to which images are resized (bilinear, antialiased); null: as they are."""
    greyscale: bool = False
    """Whether colour images are turned to one channel (luma of ITU-R Recommendation BT.601)."""
    bits: int | None = None
    """Bits per channel, 1 to 8: x becomes floor(x 2^bits / intensities); null keeps all intensities."""
    per_class: int | None = None
    """At most so many images per class in each of the three splits; by default all. Not for `factors`, which has
    numbers of its own."""
    evaluation_per_class: int | None = None
    """At most so many evaluation images per class, where measuring all of them would take too long; by default as
    `per_class` says. Not for `factors`."""
    validation_share: float = 0.1
    """Share of the decoders' images that is kept from fitting, for early stopping and model choice."""
    augment: bool | None = None
    """Whether training images are shifted and mirrored; null means where this keeps their meaning (not for
    `factors` and `digits`)."""
    seed: int = 0
    """Seed of the split (finite data sets) or of the draws (`factors`)."""
    factors: FactorsConfig = field(default_factory=FactorsConfig)
    """Settings of the procedural images; used by `factors` only."""

    def __post_init__(self) -> None:
        known = get_args(SourceName)
        require(self.source in known, f"data.source is {self.source!r}; choose one of {', '.join(known)}.")
        require(
            self.resolution is None or 4 <= self.resolution <= 256,
            f"data.resolution is {self.resolution}; choose a side between 4 and 256 pixels, or leave it out.",
        )
        require(
            self.bits is None or 1 <= self.bits <= 8,
            f"data.bits is {self.bits}; choose 1 to 8 bits per channel, or leave it out.",
        )
        require(
            self.background in ("white", "black"),
            f"data.background is {self.background!r}; choose white or black.",
        )
        require(
            not (self.group_folders and self.group_file),
            "data.group_folders and data.group_file are both set; choose one of them to say what belongs together.",
        )
        for name, off in (("background", "white"), ("group_folders", False), ("group_file", None)):
            require(
                self.source in FILE_SOURCES or getattr(self, name) == off,
                f"data.{name} is set, which the source {self.source!r} has no use for; leave it out, or choose one of "
                f"{', '.join(FILE_SOURCES)}.",
            )
        for name in ("per_class", "evaluation_per_class"):
            found = getattr(self, name)
            require(
                found is None or found >= 1,
                f"data.{name} is {found}; choose at least 1 image per class, or leave it out.",
            )
        require(
            0 < self.validation_share < 1,
            f"data.validation_share is {self.validation_share}; choose a share between 0 and 1, for instance 0.1.",
        )
        require(self.seed >= 0, f"data.seed is {self.seed}; choose a whole number from 0 on.")

    def cap_per_class(self, split: str) -> int | None:
        """The largest number of images per class in a split (`encoder`, `decoder` or `evaluation`); None for no cap.

        >>> config = DataConfig(source="digits", per_class=40, evaluation_per_class=10)
        >>> config.cap_per_class("decoder"), config.cap_per_class("evaluation")
        (40, 10)
        """
        caps = [self.per_class, self.evaluation_per_class if split == "evaluation" else None]
        return min((cap for cap in caps if cap is not None), default=None)
