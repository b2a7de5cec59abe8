"""What only a look at every number tells of an activations file: hashes, and values that are no numbers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from ib_analysis.activations_file.layout import FileContents, reading
from ib_analysis.activations_file.values import read_rows

__all__ = ["HASHED", "Findings", "findings_of"]

HUGE = 1e150
"""Squares of what is larger are no numbers any more."""
HASHED = 2
"""Raised when other numbers are kept of some values: by 2, of 64-bit integers and beside infinities."""

BLOCK_BYTES = 32 << 20


@dataclass(frozen=True)
class Findings:
    """What is found in one dataset.

    Arguments:
        sha256: of shape, type and values.
        n_nan, n_infinite: values that are not numbers, and infinities.
        n_huge: finite values beyond +-1e150.
        n_constant: channels that are the same at every place of every image.
    """

    sha256: str
    n_nan: int
    n_infinite: int
    n_huge: int
    n_constant: int


def findings_of(contents: FileContents, epoch: int, layer: str) -> Findings:
    """Read one dataset from its first to its last image, some megabytes at a time.

    Raises:
        UserError: it is damaged.
    """
    axes = contents.taps[layer].axes
    n_nan = n_infinite = n_huge = 0
    lowest = highest = None
    with reading(contents.path) as file:
        dataset = file[f"epoch_{epoch:04d}/{layer}"]
        digest = hashlib.sha256(f"{contents.taps[layer].shape}".encode())
        step = max(1, BLOCK_BYTES // max(1, dataset.dtype.itemsize * dataset.size // len(dataset)))
        for start in range(0, len(dataset), step):
            values = read_rows(dataset, axes, slice(start, start + step))
            digest.update(f"{values.dtype.str}".encode() if start == 0 else b"")
            digest.update(values.data)
            if values.dtype.kind == "f":
                n_nan += int(np.count_nonzero(np.isnan(values)))
                n_infinite += int(np.count_nonzero(np.isinf(values)))
            if values.dtype == np.float64:
                n_huge += int(np.count_nonzero((np.abs(values) > HUGE) & np.isfinite(values)))
            by_channel = values.swapaxes(0, 1).reshape(values.shape[1], -1)
            low, high = by_channel.min(1), by_channel.max(1)
            lowest = low if lowest is None else np.minimum(lowest, low)
            highest = high if highest is None else np.maximum(highest, high)
    if n_infinite or (lowest is not None and lowest.dtype == np.int64):
        digest.update(f"{HASHED}".encode())  # of other values the same is kept as before
    return Findings(digest.hexdigest(), n_nan, n_infinite, n_huge, int(np.count_nonzero(lowest == highest)))
