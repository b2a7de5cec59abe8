"""The HDF5 file of one run's activations: how it is laid out, read and checked."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from torch import Tensor

from ib_analysis.activations.groups import Groups
from ib_analysis.activations.layout import Layout
from ib_analysis.activations.numbers import Numbers
from ib_analysis.artifacts import UserError

__all__ = ["StoredActivations", "dataset_name", "verify"]

# Bit planes of float16 compress far better than its bytes; Zstd at level 1 was the smallest of the fast ones
# (1.1 to 1.3 times smaller, read at 500 to 800 MB/s; LZ4 reads at twice that but saves half as much).
COMPRESSION: dict[str, Any] = dict(hdf5plugin.Blosc2(cname="zstd", clevel=1, filters=hdf5plugin.Blosc2.BITSHUFFLE))
READING = (
    "Compressed by Blosc2: in Python, import hdf5plugin before h5py reads it. Where a dataset has the attributes "
    "offset and scale, (channels,), activations are dataset * scale + offset; bits and signed: bit-packed codes."
)
"""What the file says of itself."""
# What h5py raises for damaged files depends on what is hit; a damaged block fails in the decompressor.
READ_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError)
# Smaller chunks cost more in overhead than they save in reading.
SMALLEST_CHUNK_BYTES = 1 << 16


def dataset_name(epoch: int, layer: str) -> str:
    """Name of a dataset in the file; also the name of the cell.

    >>> dataset_name(10, "h3")
    'epoch_0010/h3'
    """
    return f"epoch_{epoch:04d}/{layer}"


def chunk_images(group_size: int, bytes_per_image: int) -> int:
    """Images of one chunk: whole groups, so that a group is read from one chunk.

    >>> chunk_images(16, 32768), chunk_images(16, 128)
    (16, 512)
    """
    return group_size * max(1, SMALLEST_CHUNK_BYTES // max(1, group_size * bytes_per_image))


class StoredActivations:
    """The activations of one run, read from their file.

    Several processes may read one file; after a fork each opens it for itself.

    Arguments:
        path: what `dump_activations` wrote.

    Raises:
        UserError: the file is missing, damaged or unfinished.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: h5py.File | None = None
        self._process = -1
        try:
            file = self._open()
            counts = [int(file.attrs[name]) for name in ("n_train", "n_validation", "n_evaluation", "group_size")]
            self.groups = Groups(*counts)
            self.epochs = tuple(int(epoch) for epoch in file.attrs["epochs"])
            self.layers = tuple(str(layer) for layer in file.attrs["layers"])
            self._shapes: dict[str, tuple[int, ...]] = {}
            self._layouts: dict[tuple[int, str], Layout] = {}
            for layer in self.layers:
                for epoch in self.epochs:
                    dataset = file[dataset_name(epoch, layer)]
                    if "sha256" not in dataset.attrs or len(dataset) != self.groups.n_images:
                        raise KeyError(dataset.name)
                    self._shapes[layer] = tuple(int(size) for size in dataset.attrs["shape"][1:])
                    self._layouts[epoch, layer] = Layout.of(self._shapes[layer], dataset.attrs)
        except FileNotFoundError as error:
            raise UserError(f"{path} is missing; run the dump (ib train) to make it.") from error
        except READ_ERRORS as error:
            raise _damaged(path, str(error)) from error

    def shape(self, layer: str) -> tuple[int, ...]:
        return self._shapes[layer]

    def layout(self, epoch: int, layer: str) -> Layout:
        return self._layouts[epoch, layer]

    def read(self, epoch: int, layer: str, group: int) -> Tensor:
        start, stop = self.groups.bounds[group]
        name = dataset_name(epoch, layer)
        try:
            return self._layouts[epoch, layer].unpack(self._open()[name][start:stop])
        except READ_ERRORS as error:
            raise _damaged(self.path, f"/{name}: {error}") from error

    def close(self) -> None:
        """Close the file; the next `read` opens it again."""
        if self._file is not None and self._process == os.getpid():
            self._file.close()
        self._file = None

    def _open(self) -> h5py.File:
        # A handle inherited through fork shares its file position with the parent's.
        if self._file is None or self._process != os.getpid():
            self._file = open_to_read(self.path)
            self._process = os.getpid()
        return self._file

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}


def open_to_read(path: Path) -> h5py.File:
    """Open without a lock: readers never exclude each other, and some network file systems have no locks."""
    return h5py.File(path, "r", locking=False)


def _damaged(path: Path, what: str) -> UserError:
    first_line = " ".join(what.split())
    return UserError(
        f"{path} is damaged or unfinished ({first_line}); run the dump (ib train) again: only what is "
        "damaged is made again."
    )


def verify(path: Path) -> list[str]:
    """Read every dataset of a dump and compare it with its hash.

    Arguments:
        path: what `dump_activations` wrote; it is only read.

    Returns:
        Names of the datasets that are damaged or unfinished; empty if all is well.

    Raises:
        UserError: the file cannot be opened at all: it is no HDF5 file, or its end is missing.
    """
    try:
        with open_to_read(path) as file:
            names = {dataset_name(epoch, layer) for epoch in file.attrs["epochs"] for layer in file.attrs["layers"]}
            return sorted(name for name in names if not is_intact(file, name))
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run the dump (ib train) to make it.") from error
    except READ_ERRORS as error:
        raise _damaged(path, str(error)) from error


def is_intact(file: h5py.File, name: str) -> bool:
    """Whether a dataset can be read and has the content that its hash tells."""
    try:
        dataset = file[name]
        return hash_of_dataset(dataset) == dataset.attrs["sha256"]
    except READ_ERRORS:
        return False


def hash_of_dataset(dataset: h5py.Dataset) -> str:
    """SHA-256 of shape, map of channels and decoded content, read in blocks of a few megabytes."""
    digest = start_hash(dataset.shape, dataset.dtype.name, Numbers.of(dataset.attrs))
    chunk = dataset.chunks[0]
    step = chunk * max(1, (8 << 20) // max(1, dataset.dtype.itemsize * chunk * int(np.prod(dataset.shape[1:]))))
    for start in range(0, len(dataset), step):
        digest.update(np.ascontiguousarray(dataset[start : start + step]).data)
    return digest.hexdigest()


def start_hash(shape: tuple[int, ...], dtype: str, numbers: Numbers) -> Any:
    """The digest of a dataset before its first value."""
    return hashlib.sha256(json.dumps([dtype, *map(int, shape), *numbers.identity]).encode())


def restore_length(path: Path) -> bool:
    """Give a truncated file its length back, with zeros: what lies before the cut can then be read.

    HDF5 refuses a file that is shorter than its superblock says (HDF5 file format specification, II.A); what
    the zeros have destroyed is found by `is_intact`.

    Returns:
        Whether the file was longer before.
    """
    with path.open("rb") as file:
        start = file.read(48)
    if start[:8] != b"\x89HDF\r\n\x1a\n" or len(start) < 48:
        return False
    offset = 40 if start[8] < 2 else 28  # of the end-of-file address, in version 0 and 1, and in version 2 and 3
    (end,) = struct.unpack_from("<Q", start, offset)
    size = path.stat().st_size
    if not size < end < size + (1 << 40):
        return False
    os.truncate(path, end)
    return True
