"""Plain data, and hashes of data, arrays and files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ib_analysis.artifacts.settings import Setting

__all__ = ["plain", "sha256_of_array", "sha256_of_file", "sha256_of_plain"]


def plain(value: Any) -> Any:
    """Turn dataclasses, tuples, paths and numpy scalars into plain JSON data.

    >>> plain({"a": (1, 2), "b": Path("x")})
    {'a': [1, 2], 'b': 'x'}
    """
    if isinstance(value, Setting):
        return plain(value.value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    return value


def sha256_of_plain(value: Any) -> str:
    """Hash plain data through its canonical JSON text: the order of keys does not matter.

    >>> sha256_of_plain({"a": 1, "b": 2}) == sha256_of_plain({"b": 2, "a": 1})
    True
    """
    text = json.dumps(plain(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_of_array(array: np.ndarray) -> str:
    """Hash an array's dtype, shape and content."""
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def sha256_of_file(path: Path) -> str:
    """Hash a file's bytes; reads in blocks, so any size fits in memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
