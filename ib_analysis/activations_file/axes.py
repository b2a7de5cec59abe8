"""How the axes of a dataset of activations are meant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["DEFAULT_AXES", "FileAxes"]

DEFAULT_AXES = {1: "N", 2: "NC", 4: "NCHW"}
"""Number of axes -> what they mean where the file does not say; with three they could be tokens either way round."""


@dataclass(frozen=True)
class FileAxes:
    """From rows as they lie in a file to (n, C) or (n, C, h, w).

    Arguments:
        letters: one per axis, N (images) first: C channels, H and W height and width, T tokens or steps of time.
            C may stand several times (heads and features): all of them together are the channels. Tokens become a map
            of one column, (n, C, T, 1); a single H or W one of one column or row. P are tokens of patches: the last of
            them become a map, those before them (a class token) channels that are the same at all its places.
        grid: (h, w) of the patches; None: the largest square.

    Raises:
        ValueError: the letters name no such axes.

    >>> FileAxes("NHWC")(np.zeros((2, 4, 5, 3))).shape, FileAxes("NTC").row_shape((2, 7, 16))
    ((2, 3, 4, 5), (16, 7, 1))
    >>> FileAxes("NPC").row_shape((2, 1 + 49, 16)), FileAxes("NPC", (2, 5))(np.zeros((3, 10, 16))).shape
    ((32, 7, 7), (3, 16, 2, 5))
    """

    letters: str
    grid: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        rest = self.letters[1:]
        known = self.letters[:1] == "N" and set(rest) <= set("CHWTP")
        places = [kinds for kinds in ("HW", "T", "P") if set(kinds) & set(rest)]
        if not known or any(rest.count(letter) > 1 for letter in "HWTP") or len(places) > 1:
            raise ValueError(
                f"axes is {self.letters!r}; write N (images) first and then, in their order, C (channels), H and W "
                "(height and width), T (tokens) or P (tokens of patches), for instance NCHW, NC, NTC or NPC"
            )
        if self.grid is not None and "P" not in self.letters:
            raise ValueError(f"grid is of patches, and axes {self.letters!r} has none; write P for them, such as NPC")

    @property
    def is_map(self) -> bool:
        """Whether an image's activations have places."""
        return bool(set(self.letters) & set("HWTP"))

    def row_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of one image's activations, (C, h, w) or (C,).

        Arguments:
            shape: of the dataset, (N, ...).

        Raises:
            ValueError: there are fewer tokens than the grid has patches.
        """
        sizes = list(zip(self.letters, shape, strict=True))
        channels = math.prod(size for letter, size in sizes if letter == "C")
        if not self.is_map:
            return (channels,)
        if "P" in self.letters:
            n_before, grid = self._patches(shape[self.letters.index("P")])
            return (channels * (1 + n_before), *grid)
        height = math.prod(size for letter, size in sizes if letter in "HT")
        return channels, height, math.prod(size for letter, size in sizes if letter == "W")

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Rows of the dataset, (n, ...), as (n, C) or (n, C, h, w); they share memory where they can."""
        order = [axis for kind in ("N", "C", "HTP", "W") for axis, letter in enumerate(self.letters) if letter in kind]
        ordered = rows.transpose(order)
        if "P" not in self.letters:
            return ordered.reshape(len(rows), *self.row_shape(rows.shape))
        n_before, grid = self._patches(ordered.shape[-1])
        tokens = ordered.reshape(len(rows), -1, ordered.shape[-1])
        patches = tokens[:, :, n_before:].reshape(len(rows), -1, *grid)
        before = tokens[:, :, :n_before].swapaxes(1, 2).reshape(len(rows), -1, 1, 1)
        return np.concatenate([patches, np.broadcast_to(before, (*before.shape[:2], *grid))], axis=1)

    def _patches(self, n_tokens: int) -> tuple[int, tuple[int, int]]:
        """Tokens before those of the patches, and the grid of these.

        Raises:
            ValueError: there are fewer tokens than the grid has patches.
        """
        side = math.isqrt(n_tokens)
        grid = self.grid or (side, side)
        n_before = n_tokens - math.prod(grid)
        if n_before < 0:
            raise ValueError(f"grid is {grid[0]}x{grid[1]}, but there are only {n_tokens} tokens")
        return n_before, grid
