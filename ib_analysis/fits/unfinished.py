"""The state of an interrupted fit, kept beside what it will become."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ib_analysis.artifacts import UserError, load_tensors, save_tensors

__all__ = ["UnfinishedFit"]


class UnfinishedFit:
    """Keeps the state of an interrupted fit, atomically, and only hands it to a fit of the same recipe.

    Arguments:
        path: the file of the state.
        recipe: hash of everything that the fit depends on.
    """

    def __init__(self, path: Path, recipe: str) -> None:
        self.path, self.recipe = path, recipe

    def load(self) -> dict[str, Any] | None:
        """The state, or None where there is none, a damaged one, or that of another recipe."""
        if not self.path.exists():
            return None
        try:
            found = load_tensors(self.path)
        except UserError:
            return None  # a damaged part is no loss: the fit starts anew
        return found["state"] if found.get("recipe") == self.recipe else None

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the state atomically.

        Raises:
            UserError: the disk is full, or the folder cannot be written.
        """
        save_tensors(self.path, {"recipe": self.recipe, "state": dict(state)})
