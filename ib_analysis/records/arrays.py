"""Small files of arrays, which are result, cache and resume point in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ib_analysis.artifacts import Artifact, atomic_path

__all__ = ["load_arrays", "save_arrays"]


def save_arrays(artifact: Artifact, arrays: dict[str, np.ndarray], **facts: Any) -> None:
    with atomic_path(artifact.path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    artifact.finish(**facts)


def load_arrays(artifact: Artifact) -> dict[str, np.ndarray]:
    """The arrays of one small file; nothing in it is executed."""
    with np.load(Path(artifact.path), allow_pickle=False) as found:
        return {name: found[name] for name in found.files}
