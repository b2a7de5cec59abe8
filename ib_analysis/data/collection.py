"""From all images of a finite data set to three splits, a block of images at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ib_analysis.artifacts import UserError
from ib_analysis.data.config import DataConfig
from ib_analysis.data.groups import validation_groups_last
from ib_analysis.data.interface import ImageData, Space, Split
from ib_analysis.data.splits import (
    SPLIT_NAMES,
    canonical_order,
    cap_per_class,
    not_among,
    pixel_digests,
    three_splits,
    validation_last,
)
from ib_analysis.data.transforms import transform, transformed_space

__all__ = [
    "BLOCK",
    "Choice",
    "Collection",
    "choose",
    "collection_of_arrays",
    "divide",
    "nominal_sizes",
    "plug_in_entropy_bits",
]

BLOCK = 2048


@dataclass(frozen=True)
class Collection:
    """All images of a finite data set, before they are split.

    Arguments:
        name: the source's name.
        class_names: one per label; none without labels, which then are all 0.
        native: the space of the images as they are read.
        labels: shape (N,), int64.
        digests: shape (N, 32), uint8: hashes of the images as published (see `pixel_digests`).
        source_index: shape (N,), int64 (see `Split`).
        parts: shape (N,): official parts (see `three_splits`), or None.
        blocks: reads the images in order, each block of shape (n, C, H, W), uint8. Called once per loading,
            so that the whole set never has to be in memory twice.
        augment: whether shifts and mirror images keep the meaning of an image.
        groups: shape (N,), int64: what must not be told apart by a split (see `ib_analysis.data.groups`), or None.
        trains_encoder: whether an encoder is trained on some of the images; else that split may be empty, and labels
            may be missing.
    """

    name: str
    class_names: tuple[str, ...]
    native: Space
    labels: np.ndarray
    digests: np.ndarray
    source_index: np.ndarray
    parts: np.ndarray | None
    blocks: Callable[[], Iterator[np.ndarray]]
    augment: bool
    groups: np.ndarray | None = None
    trains_encoder: bool = True


def collection_of_arrays(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    class_names: tuple[str, ...],
    intensities: int = 256,
    parts: np.ndarray | None = None,
    augment: bool = False,
) -> Collection:
    """A collection whose images, shape (N, C, H, W), uint8, are in memory already."""
    channels, height, width = images.shape[1:]
    return Collection(
        name=name,
        class_names=class_names,
        native=Space((channels, height, width), intensities, len(class_names)),
        labels=np.asarray(labels, dtype=np.int64),
        digests=pixel_digests(images),
        source_index=np.arange(len(labels), dtype=np.int64),
        parts=parts,
        blocks=lambda: (images[start : start + BLOCK] for start in range(0, len(images), BLOCK)),
        augment=augment,
    )


def plug_in_entropy_bits(labels: np.ndarray) -> float:
    """The entropy of the labels' own frequencies: -sum p log2 p.

    >>> plug_in_entropy_bits(np.array([0, 0, 1, 1]))
    1.0
    """
    _, counts = np.unique(labels, return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


class Choice(NamedTuple):
    """Which images serve which purpose."""

    positions: dict[str, np.ndarray]
    """Split -> positions of its images, in their final order."""
    n_validation: int
    """Size of the validation slice, the last images of the decoder split."""
    n_dropped: int
    """Images left out as duplicates of images they would be judged on."""


def choose(collection: Collection, config: DataConfig) -> Choice:
    """Choose the images of each split, without duplicates of what they are judged on.

    Raises:
        UserError: only one class, a class too small for three splits, or only one group to fit decoders on.
    """
    if len(collection.class_names) < 2 and (collection.class_names or collection.trains_encoder):
        raise UserError(
            f"{collection.name!r} has only one class ({collection.class_names[0]!r}); the information plane "
            "needs at least two: give every class a folder of its own."
        )
    labels = collection.labels
    order = canonical_order(collection.digests, labels, config.seed)
    groups = collection.groups
    splits = three_splits(
        order,
        labels,
        collection.digests,
        collection.parts,
        collection.class_names,
        groups,
        trains_encoder=collection.trains_encoder,
    )
    n_dropped = len(order) - sum(map(len, splits))
    chosen = {
        name: positions[cap_per_class(labels[positions], config.cap_per_class(name))]
        for name, positions in zip(SPLIT_NAMES, splits, strict=True)
    }
    decoder, share = chosen["decoder"], config.validation_share
    last, n_validation = (
        validation_last(labels[decoder], share)
        if groups is None
        else validation_groups_last(labels[decoder], groups[decoder], share)
    )
    decoder = decoder[last]
    fitting, validation = decoder[: len(decoder) - n_validation], decoder[len(decoder) - n_validation :]
    kept = not_among(fitting, validation, collection.digests)
    if not len(kept):
        raise UserError(
            f"{collection.name!r}: every decoder image is a copy of one of the validation slice, so nothing is left to "
            "fit decoders on; add different images."
        )
    chosen["decoder"] = np.concatenate([kept, validation])
    return Choice(chosen, n_validation, n_dropped + len(fitting) - len(kept))


def nominal_sizes(published: dict[str, int], n_classes: int, config: DataConfig) -> dict[str, int]:
    """Sizes of the splits of a published data set with equally many images per class, duplicates included.

    >>> nominal_sizes({"encoder": 50, "evaluation": 20}, 10, DataConfig(per_class=3))
    {'encoder': 30, 'evaluation': 20}
    """
    caps = {name: config.cap_per_class(name) for name in published}
    return {name: n if (cap := caps[name]) is None else min(n, cap * n_classes) for name, n in published.items()}


def divide(collection: Collection, config: DataConfig) -> ImageData:
    """Split a finite data set and bring its images into the chosen form.

    The split depends on the images as published, not on the chosen form: an image serves the same purpose at
    every resolution and bit depth.

    Raises:
        UserError: only one class, a class too small for three splits, or more bits than the images have.
    """
    space = transformed_space(collection.native, config)
    chosen, n_validation, n_dropped = choose(collection, config)
    images = _gather(collection, config, space, list(chosen.values()))
    splits = {
        name: Split(pixels, collection.labels[positions], collection.source_index[positions])
        for (name, positions), pixels in zip(chosen.items(), images, strict=True)
    }
    return ImageData(
        name=collection.name,
        intensities=space.intensities,
        class_names=collection.class_names,
        encoder=splits["encoder"],
        decoder=splits["decoder"],
        evaluation=splits["evaluation"],
        n_validation=n_validation,
        h_x_bits=None,
        h_y_bits=plug_in_entropy_bits(splits["evaluation"].labels),
        augment=collection.augment if config.augment is None else config.augment,
        n_duplicates_dropped=n_dropped,
    )


def _gather(collection: Collection, config: DataConfig, space: Space, chosen: list[np.ndarray]) -> list[np.ndarray]:
    """Read all blocks once and put each image where it belongs."""
    gathered = [np.empty((len(positions), *space.image_shape), dtype=np.uint8) for positions in chosen]
    split_of = np.full(len(collection.labels), -1)
    row_of = np.zeros(len(collection.labels), dtype=np.int64)
    for split, positions in enumerate(chosen):
        split_of[positions] = split
        row_of[positions] = np.arange(len(positions))
    start = 0
    for block in collection.blocks():
        inside = slice(start, start + len(block))
        start += len(block)
        wanted = split_of[inside] >= 0
        if wanted.any():
            pixels = transform(block[wanted], collection.native, config)
            splits, rows = split_of[inside][wanted], row_of[inside][wanted]
            for split, target in enumerate(gathered):
                target[rows[splits == split]] = pixels[splits == split]
    return gathered
