"""What every image source hands on: three splits of integer images, with all that is known about them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np

from ib_analysis.artifacts import sha256_of_array
from ib_analysis.data.config import DataConfig

__all__ = ["ImageData", "Progress", "Source", "Space", "Split"]

Progress: TypeAlias = Callable[[int, int, dict[str, float]], None]
"""Called with (images done, images in all, further figures) while a data set is packed."""


class Space(NamedTuple):
    """The space that images and labels live in, known before any image is loaded."""

    image_shape: tuple[int, int, int]
    """(channels, height, width)."""
    intensities: int
    """Pixel values are integers 0..intensities-1."""
    n_classes: int


@dataclass(frozen=True)
class Split:
    """Images that serve one purpose.

    Arguments:
        images: shape (N, C, H, W), uint8: integers 0..intensities-1.
        labels: shape (N,), int64.
        source_index: shape (N,), int64: the position of each image in its source (in order of file names for
            a folder; in the source's own order, training before test, for CIFAR; the number of the draw for
            `factors`).
        factors: name -> integers of shape (N,), the true value of each factor; the nuisance is `noise`, shape
            (N, symbols), a square grid in rows. Empty unless the source knows them.
    """

    images: np.ndarray
    labels: np.ndarray
    source_index: np.ndarray
    factors: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: slice | np.ndarray) -> Split:
        """A part of the split; a slice shares the memory."""
        factors = {name: values[key] for name, values in self.factors.items()}
        return Split(self.images[key], self.labels[key], self.source_index[key], factors)

    @cached_property
    def sha256(self) -> str:
        """Hash of pixels and labels, in order. The source's numbering does not enter: copies of a data set
        agree."""
        return hashlib.sha256((sha256_of_array(self.images) + sha256_of_array(self.labels)).encode()).hexdigest()


@dataclass(frozen=True)
class ImageData:
    """A data set in three splits.

    Arguments:
        name: the source's name.
        intensities: pixel values are integers 0..intensities-1 (2 to 256).
        class_names: one per label; none where images have no labels, which then are all 0.
        encoder: trains the encoder; may be empty where that is trained elsewhere.
        decoder: trains decoders and probes; its last `n_validation` images are kept from fitting.
        evaluation: is only evaluated.
        n_validation: size of the validation slice.
        h_x_bits: entropy of one image, where it is known exactly.
        h_y_bits: entropy of the label: exact where it is known, else the plug-in entropy of the evaluation
            labels; 0 without labels.
        factor_bits: entropy of each factor; empty unless the factors are known.
        augment: whether shifts and mirror images keep the meaning of an image.
        n_duplicates_dropped: images of a finite data set that were left out of the encoder and decoder splits
            because their pixels, as published, also occur among the images they would be judged on.
    """

    name: str
    intensities: int
    class_names: tuple[str, ...]
    encoder: Split
    decoder: Split
    evaluation: Split
    n_validation: int
    h_x_bits: float | None
    h_y_bits: float
    factor_bits: dict[str, float] = field(default_factory=dict)
    augment: bool = False
    n_duplicates_dropped: int = 0

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        _, channels, height, width = self.encoder.images.shape
        return channels, height, width

    @property
    def has_labels(self) -> bool:
        """Whether it is known to which class an image belongs."""
        return bool(self.class_names)

    @property
    def splits(self) -> dict[str, Split]:
        """The three splits by name."""
        return {"encoder": self.encoder, "decoder": self.decoder, "evaluation": self.evaluation}

    @property
    def fitting(self) -> Split:
        """The decoder images without the validation slice."""
        return self.decoder[: len(self.decoder) - self.n_validation]

    @property
    def validation(self) -> Split:
        """The validation slice: the last `n_validation` decoder images."""
        return self.decoder[len(self.decoder) - self.n_validation :]

    @cached_property
    def sha256(self) -> str:
        """Hash of all pixels and labels and of which image serves which purpose."""
        parts = [split.sha256 for split in self.splits.values()]
        return hashlib.sha256("".join([*parts, f"{self.n_validation},{self.intensities}"]).encode()).hexdigest()


@dataclass(frozen=True)
class Source:
    """How one kind of data set is made available.

    Each function's last argument, `recheck`, says whether files are compared with what was made of them before, or
    this was done in this run already.

    Arguments:
        load: reads, splits and transforms the images.
        space: says what the images are like, without loading them where that is possible.
        sizes: the number of images in each split, without loading them where that is possible.
    """

    load: Callable[[DataConfig, Progress | None, bool], ImageData]
    space: Callable[[DataConfig, bool], Space]
    sizes: Callable[[DataConfig, bool], dict[str, int]]
