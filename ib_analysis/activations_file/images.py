"""Images, labels and splits of an activations file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ib_analysis.activations_file.layout import FileContents, as_text, reading
from ib_analysis.artifacts import UserError

__all__ = ["check_pixels", "image_blocks", "labels_of", "numbered", "parts", "parts_of"]

PARTS = {"encoder": 0, "decoder": 1, "evaluation": 2}
"""Word of ``/split`` -> number that means the same."""


def image_blocks(contents: FileContents, block: int) -> Iterator[np.ndarray]:
    """The images in the file's order, each block of shape (n, C, H, W), uint8.

    Arguments:
        block: images of a block.

    Raises:
        UserError: a pixel is not below the file's intensities, or the file is damaged.
    """
    with reading(contents.path) as file:
        for start in range(0, contents.n_images, block):
            images = file["images"][start : start + block]
            check_pixels(images, contents.intensities, f"{contents.path}: /images")
            if contents.image_axes == "NHW":
                images = images[:, None]
            yield np.ascontiguousarray(images.transpose(0, 3, 1, 2) if contents.image_axes == "NHWC" else images)


def check_pixels(images: np.ndarray, intensities: int, place: str) -> None:
    """Refuse a pixel that is not below the number of intensities.

    Raises:
        UserError: there is one; `place` is where.
    """
    if images.size and int(images.max()) >= intensities:
        raise UserError(
            f"{place} has a pixel of {int(images.max())}, and intensities is {intensities}; pixels must be below it."
        )


def labels_of(contents: FileContents) -> tuple[np.ndarray, tuple[str, ...]] | None:
    """The labels, shape (N,), int64, numbered from 0 without gaps, and the names of the classes; None without labels.

    Raises:
        UserError: labels are no whole numbers, have no name, or are all the same.
    """
    if not contents.has_labels:
        return None
    with reading(contents.path) as file:
        values = file["labels"][()].reshape(-1)
        names = file["labels"].attrs.get("class_names")
    known = None if names is None else [as_text(name) for name in np.atleast_1d(names)]
    return numbered(values, known, f"{contents.path}: /labels")


def numbered(values: np.ndarray, names: Sequence[str] | None, place: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels numbered from 0 without gaps, shape (N,), int64, and the names of the classes.

    Arguments:
        values: shape (N,), of any type.
        names: of the labels 0, 1, ...; None: labels are their own names.
        place: where they are from, for the sentence.

    Raises:
        UserError: they are no whole numbers, have no name, or are all the same.
    """
    if values.dtype.kind not in "fiub" or not (np.isfinite(values) & (values == np.round(values))).all():
        raise UserError(f"{place} must hold whole numbers, 0 for the first class; say what they are in class_names.")
    classes, labels = np.unique(values.astype(np.int64), return_inverse=True)
    if len(classes) < 2:
        raise UserError(f"{place} knows only one class; leave the labels out, and what needs them is left out.")
    if names is None:
        return labels.reshape(-1), tuple(str(label) for label in classes)
    if classes[0] < 0 or classes[-1] >= len(names):
        raise UserError(
            f"{place} holds {classes[0]} to {classes[-1]}, and class_names has {len(names)} names; name all."
        )
    return labels.reshape(-1), tuple(names[label] for label in classes)


def parts_of(contents: FileContents) -> np.ndarray | None:
    """What each image is for, shape (N,), int64: 0 encoder, 1 decoder, 2 evaluation; None where the file has no split.

    Raises:
        UserError: another word or number, or no image for decoders or evaluation.
    """
    if not contents.has_split:
        return None
    with reading(contents.path) as file:
        return parts(file["split"][()].reshape(-1), f"{contents.path}: /split")


def parts(values: np.ndarray, place: str) -> np.ndarray:
    """The same of words or numbers, shape (N,), from a place.

    Raises:
        UserError: as `parts_of`.
    """
    words = values.dtype.kind not in "fiub"
    found = [PARTS.get(as_text(value)) if words else value for value in values]
    wrong = next((values[k] for k, part in enumerate(found) if part not in (0, 1, 2)), None)
    if wrong is not None:
        said = repr(as_text(wrong)) if words else wrong
        raise UserError(f"{place} holds {said}; use {', '.join(PARTS)}, or 0, 1 and 2 for them.")
    numbers = np.array(found, dtype=np.int64)
    for name, part in PARTS.items():
        if part and not (numbers == part).any():
            raise UserError(f"{place} has no image for {name}; mark some, or leave /split out to have them drawn.")
    return numbers
