"""Images that a network was trained on are not held out: they are found by the hash of their pixels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from torch import Tensor

from ib_analysis.artifacts import UserError
from ib_analysis.data import image_digests

__all__ = ["Overlap", "TrainedOn", "held_out", "pixels_of"]

TrainedOn: TypeAlias = np.ndarray | Tensor | Sequence[str]
"""Images, or their hashes."""
Overlap = Literal["drop", "refuse"]

logger = logging.getLogger(__name__)
_BLOCK = 1024


def pixels_of(name: str, images: np.ndarray | Tensor) -> np.ndarray:
    """Images as numpy has them.

    Arguments:
        name: of the argument, for the sentence.
        images: shape (N, C, H, W), uint8, with one or three channels.

    Raises:
        UserError: they are of another shape or type.
    """
    found = images.cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
    if found.ndim != 4 or found.dtype != np.uint8 or found.shape[1] not in (1, 3) or not found.size:
        raise UserError(
            f"{name} has shape {found.shape} and type {found.dtype}; give images as integers, (N, C, H, W) in uint8 "
            "with one or three channels, and let preprocess make the network's input of them."
        )
    return found


def held_out(pixels: np.ndarray, trained_on: TrainedOn | None, overlap: Overlap = "drop") -> np.ndarray:
    """Positions of the images that the networks were not trained on, ascending.

    Arguments:
        pixels: shape (N, C, H, W), uint8.
        trained_on: see `ib_analysis.recording.record`.
        overlap: what to do about the others.

    Raises:
        UserError: `trained_on` is neither images of the same size nor hashes; all images are among them, or some and
            `overlap` says to refuse them.
    """
    if overlap not in ("drop", "refuse"):
        raise UserError(f"overlap is {overlap!r}; choose drop or refuse.")
    if trained_on is None:
        return np.arange(len(pixels))
    seen = _hashes(trained_on, pixels.shape[2:])
    is_new = [digest not in seen for digest in _digests(pixels)]
    kept, n_seen = np.flatnonzero(is_new), len(pixels) - sum(is_new)
    if n_seen and overlap == "refuse":
        raise UserError(
            f"{n_seen} of {len(pixels)} images are among those of trained_on; leave them out (overlap='drop' does so)."
        )
    if not len(kept):
        raise UserError("All images are among those of trained_on; give some that the networks were not trained on.")
    if n_seen:
        logger.warning("%d of %d images are among those of trained_on and are left out.", n_seen, len(pixels))
    else:
        logger.warning("None of the %d images is among those of trained_on.", len(pixels))
    return kept


def _hashes(trained_on: TrainedOn, size: tuple[int, ...]) -> set[bytes]:
    """Hashes of what may be found among images of a size (H, W)."""
    found = trained_on.cpu().numpy() if isinstance(trained_on, Tensor) else np.asarray(trained_on)
    if found.ndim == 4:
        if found.shape[2:] != size:
            told = ["x".join(map(str, of)) for of in (found.shape[2:], size)]
            raise UserError(
                f"trained_on has images of {told[0]} and images are of {told[1]}, so that none can be found among the "
                "others; give both in the same size."
            )
        return set(_digests(pixels_of("trained_on", found)))
    if found.ndim == 2 and found.shape[1] == 32 and found.dtype == np.uint8:
        return {digest.tobytes() for digest in found}
    if found.ndim == 1 and found.dtype.kind == "U":
        try:
            hashes = {bytes.fromhex(text) for text in found.tolist()}
        except ValueError:
            hashes = {b""}
        if all(len(digest) == 32 for digest in hashes):
            return hashes
    raise UserError(
        f"trained_on has shape {found.shape} and type {found.dtype}; give images, (M, C, H, W) in uint8, or their "
        "hashes: (M, 32) in uint8 as ib_analysis.data.image_digests gives them, or 64 hexadecimal digits each."
    )


def _digests(pixels: np.ndarray) -> list[bytes]:
    blocks = (image_digests(pixels[start : start + _BLOCK]) for start in range(0, len(pixels), _BLOCK))
    return [digest.tobytes() for block in blocks for digest in block]
