"""Small HDF5 files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import h5py

from ib_analysis.artifacts import write_atomically

__all__ = ["write_hdf5"]


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
