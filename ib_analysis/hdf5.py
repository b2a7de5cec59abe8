"""HDF5 files: small ones written whole or not at all, and all read without locks."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import h5py

from ib_analysis.artifacts import write_atomically

__all__ = ["read_hdf5", "write_hdf5"]

_OPEN_WITH_LOCKS = "file locking flag values don't match"


def read_hdf5(path: Path) -> h5py.File:
    """Open a file for reading, without a lock: some file systems have none, where HDF5 would fail for want of it.

    Files are moved to their names when they are whole, so that nobody writes into what is read.

    Raises:
        OSError: the file is missing, or no HDF5 file.
    """
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if _OPEN_WITH_LOCKS not in str(error):
            raise
        return h5py.File(path, "r")  # as somebody in this process has it open already; HDF5 takes no two ways at once


@contextlib.contextmanager
def write_hdf5(path: Path) -> Iterator[h5py.File]:
    """Hand out an empty HDF5 file in memory; put it on disk atomically if the block succeeds.

    The HDF5 library can end the whole process when a disk fills up under its cache of small datasets; so it never
    writes to the disk itself. The whole file has to fit in memory: for tables and samples, not for activations.

    Raises:
        UserError: the disk is full, or the folder cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with write_hdf5(Path(folder) / "bits.h5") as file:
    ...         file["epoch_0001/h1"] = [1.0, 2.0]
    ...     with h5py.File(Path(folder) / "bits.h5") as file:
    ...         file["epoch_0001/h1"][()].tolist()
    [1.0, 2.0]
    """
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        yield file
    with write_atomically(path) as target:
        target.write(content.getbuffer())
