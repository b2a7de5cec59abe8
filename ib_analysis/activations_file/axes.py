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
            of one column, (n, C, T, 1); a single H or W one of one column or row.

    Raises:
        ValueError: the letters name no such axes.

    >>> FileAxes("NHWC")(np.zeros((2, 4, 5, 3))).shape, FileAxes("NTC").row_shape((2, 7, 16))
    ((2, 3, 4, 5), (16, 7, 1))
    """

    letters: str

    def __post_init__(self) -> None:
        rest = self.letters[1:]
        known = self.letters[:1] == "N" and set(rest) <= set("CHWT")
        if not known or any(rest.count(letter) > 1 for letter in "HWT") or ("T" in rest and set(rest) & set("HW")):
            raise ValueError(
                f"axes is {self.letters!r}; write N (images) first and then, in their order, C (channels), H and W "
                "(height and width) or T (tokens), for instance NCHW, NC or NTC"
            )

    @property
    def is_map(self) -> bool:
        """Whether an image's activations have places."""
        return bool(set(self.letters) & set("HWT"))

    def row_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of one image's activations, (C, h, w) or (C,).

        Arguments:
            shape: of the dataset, (N, ...).
        """
        sizes = list(zip(self.letters, shape, strict=True))
        channels = math.prod(size for letter, size in sizes if letter == "C")
        if not self.is_map:
            return (channels,)
        height = math.prod(size for letter, size in sizes if letter in "HT")
        return channels, height, math.prod(size for letter, size in sizes if letter == "W")

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Rows of the dataset, (n, ...), as (n, C) or (n, C, h, w); they share memory where they can."""
        shape = (len(rows), *self.row_shape(rows.shape))
        order = [axis for kind in ("N", "C", "HT", "W") for axis, letter in enumerate(self.letters) if letter in kind]
        return rows.transpose(order).reshape(shape)
