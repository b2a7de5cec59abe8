"""Numbers of an activations file, whatever their type, as types that every computation here has."""

from __future__ import annotations

import h5py
import numpy as np

from ib_analysis.activations_file.axes import FileAxes
from ib_analysis.activations_file.layout import as_text
from ib_analysis.artifacts import UserError

__all__ = ["common_type", "read_rows"]


def read_rows(dataset: h5py.Dataset, axes: FileAxes, rows: slice | np.ndarray) -> np.ndarray:
    """Some images' activations, (n, C) or (n, C, h, w), without loss in one of numpy's common types.

    Arguments:
        axes: of the dataset.
        rows: a slice, or positions of images, shape (n,), each once and in any order.

    Raises:
        UserError: an unsigned integer of 64 bits is too large to be held.
    """
    if isinstance(rows, slice):
        found = dataset[rows]
    elif (start := _start_in_file(dataset)) is not None:
        found = _read_at(dataset, start, rows)
    else:
        # HDF5 reads positions in ascending order only.
        order = np.argsort(rows)
        found = np.empty((len(rows), *dataset.shape[1:]), dataset.dtype)
        found[order] = dataset[rows[order]]
    return np.ascontiguousarray(axes(common_type(found, as_text(dataset.attrs.get("dtype", "")), dataset.name)))


def _read_at(dataset: h5py.Dataset, start: int, rows: np.ndarray) -> np.ndarray:
    """Rows as they lie in the file: HDF5's selections of single rows take several times as long.

    Raises:
        OSError: the file ends before.
    """
    found = np.empty((len(rows), *dataset.shape[1:]), dataset.dtype)
    as_bytes = found.reshape(len(rows), -1).view(np.uint8)
    with open(dataset.file.filename, "rb", buffering=0) as file:
        for place, row in zip(as_bytes, rows.tolist(), strict=True):
            file.seek(start + row * len(place))
            if file.readinto(place.data) != len(place):
                raise OSError("the file is truncated")
    return found


def _start_in_file(dataset: h5py.Dataset) -> int | None:
    """Where the numbers of a contiguous dataset begin in its file; None where they lie in pieces or elsewhere."""
    plan = dataset.id.get_create_plist()
    if plan.get_layout() != h5py.h5d.CONTIGUOUS or plan.get_external_count() or not dataset.file.filename:
        return None
    return dataset.id.get_offset() if dataset.file.driver == "sec2" else None


def common_type(values: np.ndarray, kind: str, place: str) -> np.ndarray:
    """Values as float16, float32, float64, bool, or a signed integer that has them all.

    Arguments:
        values: any floating-point or integer type, any byte order.
        kind: ``bfloat16`` where uint16 holds its bits.
        place: of the dataset, for the sentence.

    Raises:
        UserError: an unsigned integer of 64 bits is too large.

    >>> common_type(np.array([0x3FC0], np.uint16), "bfloat16", "").tolist()
    [1.5]
    """
    if kind == "bfloat16":  # the upper half of a float32
        return (values.astype(np.uint32) << 16).view(np.float32)
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    if native.dtype.kind == "f":
        # What is longer than 64 bits (float128) is rounded to them.
        return native if native.dtype.itemsize <= 8 else native.astype(np.float64)
    if native.dtype.kind == "u" and native.dtype.itemsize > 1:
        if native.dtype.itemsize == 8 and native.size and int(native.max()) >= 2**63:
            raise UserError(
                f"{place} holds the integer {int(native.max())}, beyond 2^63; store such numbers as float64."
            )
        return native.astype({2: np.int32, 4: np.int64, 8: np.int64}[native.dtype.itemsize])
    return native
