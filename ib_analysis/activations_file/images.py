"""Images, labels and splits of an activations file."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ib_analysis.activations_file.layout import FileContents, as_text, reading
from ib_analysis.artifacts import UserError

__all__ = ["image_blocks", "labels_of", "parts_of"]

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
            if int(images.max()) >= contents.intensities:
                raise UserError(
                    f"{contents.path}: /images has a pixel of {int(images.max())}, and its attribute intensities says "
                    f"{contents.intensities}; pixels must be below it."
                )
            if contents.image_axes == "NHW":
                images = images[:, None]
            yield np.ascontiguousarray(images.transpose(0, 3, 1, 2) if contents.image_axes == "NHWC" else images)


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
    place = f"{contents.path}: /labels"
    if values.dtype.kind not in "fiub" or not (np.isfinite(values) & (values == np.round(values))).all():
        raise UserError(f"{place} must hold whole numbers, 0 for the first class; say what they are in class_names.")
    classes, labels = np.unique(values.astype(np.int64), return_inverse=True)
    if len(classes) < 2:
        raise UserError(f"{place} knows only one class; leave the labels out, and what needs them is left out.")
    if names is None:
        return labels.reshape(-1), tuple(str(label) for label in classes)
    known = [as_text(name) for name in np.atleast_1d(names)]
    if classes[0] < 0 or classes[-1] >= len(known):
        raise UserError(
            f"{place} holds {classes[0]} to {classes[-1]}, and class_names has {len(known)} names; name all."
        )
    return labels.reshape(-1), tuple(known[label] for label in classes)


def parts_of(contents: FileContents) -> np.ndarray | None:
    """What each image is for, shape (N,), int64: 0 encoder, 1 decoder, 2 evaluation; None where the file has no split.

    Raises:
        UserError: another word or number, or no image for decoders or evaluation.
    """
    if not contents.has_split:
        return None
    with reading(contents.path) as file:
        values = file["split"][()].reshape(-1)
    words = values.dtype.kind not in "fiub"
    found = [PARTS.get(as_text(value)) if words else value for value in values]
    wrong = next((values[k] for k, part in enumerate(found) if part not in (0, 1, 2)), None)
    place = f"{contents.path}: /split"
    if wrong is not None:
        said = repr(as_text(wrong)) if words else wrong
        raise UserError(f"{place} holds {said}; use {', '.join(PARTS)}, or 0, 1 and 2 for them.")
    parts = np.array(found, dtype=np.int64)
    for name, part in PARTS.items():
        if part and not (parts == part).any():
            raise UserError(f"{place} has no image for {name}; mark some, or leave /split out to have them drawn.")
    return parts
