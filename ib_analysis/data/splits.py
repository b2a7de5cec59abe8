"""Which image serves which purpose: splits that depend on the images themselves, never on the order of files.

Images are put in a canonical order by a seeded SHA-256 of their pixels (ties by label), and every choice is a
cut in that order within a class. So each copy of a data set splits alike, splits are stratified, and
identical images of a class, which are neighbours in that order, stay together where the splits are cut.

Official parts and copies under several labels can still bring an image into two splits. What is evaluated must
not have been learned: an image whose pixels also occur in the evaluation split is dropped from the other two, and
one that also occurs in the validation slice is dropped from the fitting part (see `not_among`). The encoder and
the decoder split may share images, unless the encoder was trained elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial

import numpy as np

from ib_analysis.artifacts import UserError
from ib_analysis.data.groups import divide_groups

__all__ = [
    "SPLIT_NAMES",
    "canonical_order",
    "cap_per_class",
    "cut_within_classes",
    "not_among",
    "pixel_digests",
    "three_splits",
    "validation_last",
    "validation_size",
]

SPLIT_NAMES = ("encoder", "decoder", "evaluation")


def pixel_digests(images: np.ndarray) -> np.ndarray:
    """SHA-256 of each image's size and pixels; a grey image counts as a colour image with equal channels.

    Arguments:
        images: shape (N, C, H, W), uint8.

    Returns:
        shape (N, 32), uint8.
    """
    n, _, height, width = images.shape
    colour = np.broadcast_to(images, (n, 3, height, width))
    header = np.array([height, width], dtype="<u4").tobytes()
    digests = b"".join(hashlib.sha256(header + image.tobytes()).digest() for image in colour)
    return np.frombuffer(digests, dtype=np.uint8).reshape(n, 32)


def canonical_order(digests: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """The order of images by a seeded hash of their pixels, ties by label.

    Arguments:
        digests: shape (N, 32), uint8 (see `pixel_digests`).
        labels: shape (N,), integers.
        seed: any whole number from 0 on; each gives another order.

    Returns:
        shape (N,): positions of the images, first to last.
    """
    prefix = f"split {seed} ".encode()
    keys = [hashlib.sha256(prefix + digest.tobytes()).digest() for digest in digests]
    return np.array(sorted(range(len(keys)), key=lambda i: (keys[i], labels[i])), dtype=np.int64)


def cut_within_classes(
    order: np.ndarray, labels: np.ndarray, digests: np.ndarray, shares: Sequence[float]
) -> list[np.ndarray]:
    """Cut every class at the same shares of its images; each part keeps the given order.

    A cut that would part identical images moves behind them.

    Arguments:
        order: shape (M,): positions of the images to be divided, in order.
        labels, digests: shapes (N,), (N, 32): of all images.
        shares: the share of each part; sums to 1.

    Returns:
        one array of positions per part.

    >>> labels, digests = np.array([0, 0, 0, 0, 1, 1]), np.arange(6 * 32).reshape(6, 32)
    >>> first, second = cut_within_classes(np.array([5, 3, 4, 0, 1, 2]), labels, digests, [0.5, 0.5])
    >>> first.tolist(), second.tolist()
    ([5, 3, 0], [4, 1, 2])
    """
    part = np.zeros(len(order), dtype=np.int64)
    ends = np.cumsum(shares)[:-1]
    for label in np.unique(labels[order]):
        inside = np.flatnonzero(labels[order] == label)
        for end in ends:
            cut = int(np.floor(end * len(inside) + 0.5))
            while 0 < cut < len(inside) and np.array_equal(
                digests[order[inside[cut]]], digests[order[inside[cut - 1]]]
            ):
                cut += 1
            part[inside[cut:]] += 1
    return [order[part == i] for i in range(len(shares))]


def not_among(positions: np.ndarray, others: np.ndarray, digests: np.ndarray) -> np.ndarray:
    """Those of some images whose pixels do not occur among other images, in the given order.

    Arguments:
        positions, others: shapes (M,), (K,): positions of images.
        digests: shape (N, 32), uint8: of all images.

    >>> digests = np.array([[1], [2], [1], [3]], dtype=np.uint8)
    >>> not_among(np.array([3, 2, 1]), np.array([0]), digests).tolist()
    [3, 1]
    """
    taken = {digest.tobytes() for digest in digests[others]}
    return positions[[digest.tobytes() not in taken for digest in digests[positions]]]


def three_splits(
    order: np.ndarray,
    labels: np.ndarray,
    digests: np.ndarray,
    parts: np.ndarray | None,
    class_names: Sequence[str],
    groups: np.ndarray | None = None,
    trains_encoder: bool = True,
) -> list[np.ndarray]:
    """Divide a finite data set: encoder, decoder and evaluation images.

    Arguments:
        order: shape (N,): see `canonical_order`.
        labels, digests: shapes (N,), (N, 32).
        parts: shape (N,): the official part of each image. None: there is none, and the classes are cut
            40/40/20 (0/80/20 where no encoder is trained). 0 and 2: training and test; the training images are halved.
            0, 1 and 2: the three splits
            themselves.
        class_names: for messages.
        groups: shape (N,): what must not be told apart (see `divide_groups`), each within one official part; None:
            only identical images are kept together.
        trains_encoder: whether every class needs images that train an encoder here; else those of the encoder split are
            what it was trained on elsewhere, and their copies are left out of both other splits.

    Returns:
        three arrays of positions, each in the canonical order; no image of the first two has the pixels of one of
        the third.

    Raises:
        UserError: a class has no image in one of the splits.
    """
    cut = (
        partial(cut_within_classes, labels=labels, digests=digests)
        if groups is None
        else partial(divide_groups, labels=labels, groups=groups)
    )
    if parts is None:
        splits = cut(order, shares=[0.4, 0.4, 0.2] if trains_encoder else [0.0, 0.8, 0.2])
    elif (parts == 1).any():
        splits = [order[parts[order] == part] for part in range(3)]
    else:
        halves = cut(order[parts[order] == 0], shares=[0.5, 0.5])
        splits = [*halves, order[parts[order] == 2]]
    if not trains_encoder:  # what a network that is trained elsewhere was trained on: none of it is held out
        splits = [splits[0], *(not_among(split, splits[0], digests) for split in splits[1:])]
    splits = [*(not_among(split, splits[2], digests) for split in splits[:2]), splits[2]]
    for split, name in zip(splits, SPLIT_NAMES, strict=True):
        counts = np.bincount(labels[split], minlength=max(1, len(class_names)))
        if counts.min() == 0 and (trains_encoder or name != "encoder"):
            if not class_names:
                raise UserError(f"No image falls to the {name} split; add images that are different from each other.")
            label = int(counts.argmin())
            total = int((labels == label).sum())
            if not trains_encoder:
                why = "falls to it (fewer than 3, or copies of others)" if parts is None else "is left there by /split"
                raise UserError(
                    f"Class {class_names[label]!r} has no image in the {name} split: none of its {total} {why}; add "
                    "images of this class, or leave the labels out, and what needs them is left out."
                )
            if groups is not None:
                n_groups = len(np.unique(groups[labels == label]))
                raise UserError(
                    f"Class {class_names[label]!r} has too few groups for three splits: none of its {total} images in "
                    f"{n_groups} groups falls to the {name} split; add images of further groups, or remove the class."
                )
            raise UserError(
                f"Class {class_names[label]!r} has too few different images for three splits: none of its "
                f"{total} falls to the {name} split; add images to this class (at least 3, or 2 for "
                "training and 1 for test), or remove the class."
            )
    return splits


def cap_per_class(labels: np.ndarray, per_class: int | None) -> np.ndarray:
    """Positions of the first `per_class` images of each class, in order.

    >>> cap_per_class(np.array([1, 0, 1, 1, 0]), 2).tolist()
    [0, 1, 2, 4]
    """
    if per_class is None:
        return np.arange(len(labels))
    kept = [np.flatnonzero(labels == label)[:per_class] for label in np.unique(labels)]
    return np.sort(np.concatenate(kept))


def validation_size(n: int, share: float) -> int:
    """Size of the validation slice of n images: at least one, and at least one is left for fitting."""
    return min(max(1, round(share * n)), n - 1)


def validation_last(labels: np.ndarray, share: float) -> tuple[np.ndarray, int]:
    """Put a stratified validation slice at the end; both parts keep their order.

    Arguments:
        labels: shape (N,), in the order of the split.
        share: share of the images that go to validation.

    Returns:
        the new order, shape (N,), and the number of validation images. The slice holds the last images of
        each class; each class gives its share within one image (largest remainders).
    """
    total = validation_size(len(labels), share)
    classes, counts = np.unique(labels, return_counts=True)
    quota = counts * (total / len(labels))
    taken = np.floor(quota).astype(int)
    largest = np.argsort(taken - quota, kind="stable")
    taken[largest[: total - taken.sum()]] += 1
    validation = np.zeros(len(labels), dtype=bool)
    for label, n in zip(classes, taken, strict=True):
        inside = np.flatnonzero(labels == label)
        validation[inside[len(inside) - n :]] = True
    return np.concatenate([np.flatnonzero(~validation), np.flatnonzero(validation)]), total
