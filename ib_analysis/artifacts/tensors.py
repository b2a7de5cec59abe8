"""Files of tensors."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ib_analysis.artifacts.errors import UserError
from ib_analysis.artifacts.writing import write_atomically

__all__ = ["load_tensors", "save_tensors"]


def save_tensors(path: Path, state: Mapping[str, Any]) -> None:
    """Save tensors, numbers, strings and containers of them, atomically.

    Put together in memory: torch's own writer turns a full disk into an error that does not say so, and the bytes
    would depend on the file's name.

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    content = io.BytesIO()
    torch.save(dict(state), content)
    with write_atomically(path) as file:
        file.write(content.getbuffer())


def load_tensors(path: Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Load what `save_tensors` wrote; never executes anything that the file holds.

    Raises:
        UserError: the file is missing, damaged, or holds more than plain tensors.
    """
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run the stage that makes it again.") from error
    except Exception as error:
        raise UserError(
            f"{path} cannot be read (it is truncated, altered, or not a file of tensors); delete it and run the "
            "same command again to make it anew."
        ) from error
