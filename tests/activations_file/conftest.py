"""A small activations file, written by h5py alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from activations_file_toys import N_IMAGES, Change


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes the file, with what a test changes in it."""

    def written(change: Change = lambda file: None, name: str = "mine.h5") -> Path:
        rng = np.random.default_rng(0)
        path = tmp_path / name
        with h5py.File(path, "w") as file:
            file.attrs["version"] = 1
            file["images"] = rng.integers(0, 256, (N_IMAGES, 1, 8, 8), dtype=np.uint8)
            file["labels"] = np.arange(N_IMAGES) % 3
            for epoch in (0, 10):
                file[f"epoch_{epoch:04d}/h2"] = rng.normal(size=(N_IMAGES, 3, 4, 4)).astype(np.float32)
                file[f"epoch_{epoch:04d}/h10"] = rng.normal(size=(N_IMAGES, 5))
            change(file)
        return path

    return written
