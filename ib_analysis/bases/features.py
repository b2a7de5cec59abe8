"""The base's features of images, computed once and looked up by the images themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from decoders import PixelCNNPP, Reader
from decoders.config import ReaderArchitecture
from ib_analysis.artifacts import write_atomically
from ib_analysis.data import ImageHashes

__all__ = ["StoredFeatures", "write_features"]

TOGETHER = 64
"""Images whose features are computed at once."""


def write_features(
    path: Path, base: PixelCNNPP, images: Tensor, progress: Callable[[int, int, dict[str, float]], None] | None = None
) -> None:
    """Write the features of images, (n, C, H, W), as an array (n, F, H, W), float16, atomically.

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    reader = Reader(base, ReaderArchitecture(), ())
    device = next(base.parameters()).device
    shape = (len(images), base.config.architecture.filters, *images.shape[2:])
    with write_atomically(path) as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f2", "fortran_order": False, "shape": shape}
        )  # what np.load maps into memory
        for start in range(0, len(images), TOGETHER):
            found = reader.base_features(images[start : start + TOGETHER].to(device)).half()
            file.write(np.ascontiguousarray(found.cpu().numpy()).data)
            if progress is not None:
                progress(min(start + TOGETHER, len(images)), len(images), {})


class StoredFeatures:
    """Looks up what `write_features` wrote, as `Reader.stored` does it.

    Arguments:
        images: shape (N, C, H, W), uint8: all images.
        parts: files, and the number of images of each, in the order of the images.
    """

    def __init__(self, images: np.ndarray, parts: Sequence[tuple[Path, int]]) -> None:
        self._images = torch.from_numpy(images)
        self._hash = ImageHashes(images.shape[1:])
        hashes = self._hash(self._images)
        self._order = torch.argsort(hashes, stable=True)
        self._sorted = hashes[self._order]
        self._arrays = [np.load(path, mmap_mode="r") for path, _ in parts]
        self._starts = np.cumsum([0, *(count for _, count in parts)])

    def __call__(self, x: Tensor) -> Tensor | None:
        """Images (B, C, H, W) to features (B, F, H, W), float16; None if one of them is not among the known ones."""
        pixels = x.cpu()
        if pixels.shape[1:] != self._images.shape[1:] or not len(pixels) or not len(self._sorted):
            return None
        hashes = self._hash(pixels)
        places = torch.searchsorted(self._sorted, hashes).clamp_max(len(self._sorted) - 1)
        rows = self._order[places]
        if not (self._images[rows] == pixels).all():
            return None
        part = np.searchsorted(self._starts, rows.numpy(), side="right") - 1
        found = [self._arrays[k][row - self._starts[k]] for k, row in zip(part, rows.numpy(), strict=True)]
        return torch.from_numpy(np.stack(found))
