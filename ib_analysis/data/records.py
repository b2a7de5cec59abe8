"""What is kept on disk about the images of an experiment: which image served which purpose, and the facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ib_analysis.data.interface import ImageData
from ib_analysis.hdf5 import write_hdf5

__all__ = ["facts", "save_splits"]


def save_splits(data: ImageData, path: Path) -> None:
    """Record the three splits in HDF5, atomically: equal data give equal bytes.

    ``/encoder``, ``/decoder`` and ``/evaluation`` each hold ``source_index`` and ``labels``, shape (N,),
    int64, and the attribute ``sha256`` (of pixels and labels in this order); the file's attributes are
    ``name``, ``sha256`` and ``n_validation`` (the last images of ``/decoder``).

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    with write_hdf5(path) as file:
        file.attrs.update({"name": data.name, "sha256": data.sha256, "n_validation": data.n_validation})
        for name, split in data.splits.items():
            group = file.create_group(name)
            group.attrs["sha256"] = split.sha256
            group["source_index"] = split.source_index
            group["labels"] = split.labels


def facts(data: ImageData) -> dict[str, Any]:
    """All that figures and tables need to know about the images, as plain data."""
    return {
        "name": data.name,
        "image_shape": list(data.image_shape),
        "intensities": data.intensities,
        "class_names": list(data.class_names),
        "h_x_bits": data.h_x_bits,
        "h_y_bits": data.h_y_bits,
        "factor_bits": dict(data.factor_bits),
        "n_encoder": len(data.encoder),
        "n_decoder": len(data.decoder),
        "n_validation": data.n_validation,
        "n_evaluation": len(data.evaluation),
        "n_duplicates_dropped": data.n_duplicates_dropped,
        "sha256": data.sha256,
    }
