"""Rows and columns of small images with headings, placed in inches so that every pixel keeps its shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import SubFigure

from ib_analysis.plots.mosaic import mosaic
from ib_analysis.plots.style import INK, MUTED, WARNED, WIDTH_INCHES

__all__ = ["Column", "PictureGrid"]

_LEFT, _SPACE, _HEAD_LINE = 0.95, 0.09, 0.155  # inches: room for captions, between groups, per heading line


@dataclass(frozen=True)
class Column:
    """Images under one heading.

    Arguments:
        heading: one short text per heading line, from top to bottom.
        blocks: one grid of images (rows of (H, W, 3) uint8) per block; the blocks stand below each other.
        warned: the heading is drawn grey.
    """

    heading: tuple[str, ...]
    blocks: Sequence[Sequence[Sequence[np.ndarray]]]
    warned: bool = False


class PictureGrid:
    """Columns of images, and the room they take.

    Arguments:
        columns: from left to right; all with the same number of blocks and heading lines.
        captions: what each heading line says, on the left.
        labels: what each block shows, on the left.
        largest_inches: no image is drawn wider.
    """

    def __init__(
        self, columns: Sequence[Column], captions: Sequence[str], labels: Sequence[str], largest_inches: float = 0.8
    ) -> None:
        self.columns, self.captions, self.labels = columns, captions, labels
        self._pictures = [[mosaic(block) for block in column.blocks] for column in columns]
        pixels = sum(pictures[0].shape[1] for pictures in self._pictures)
        room = WIDTH_INCHES - _LEFT - 0.1 - _SPACE * (len(columns) - 1)
        self._pixel = min(room / pixels, largest_inches / columns[0].blocks[0][0][0].shape[1])
        self._heights = [max(pictures[row].shape[0] for pictures in self._pictures) for row in range(len(labels))]

    @property
    def height_inches(self) -> float:
        """The height of the part of the figure that it needs."""
        return self._head + self._pixel * sum(self._heights) + _SPACE * len(self.labels)

    @property
    def _head(self) -> float:
        return _HEAD_LINE * len(self.captions) + 0.08

    def draw(self, body: SubFigure) -> None:
        """Draw on a part of a figure that is `height_inches` high."""
        height = self.height_inches

        def place(x: float, y: float) -> tuple[float, float]:
            return x / WIDTH_INCHES, 1 - y / height  # y inches down from the top

        for line, caption in enumerate(self.captions):
            body.text(*place(0.08, line * _HEAD_LINE + 0.03), caption, size=8, color=MUTED, va="top")
        inches = [self._pixel * pixels for pixels in self._heights]
        tops = [self._head + sum(inches[:row]) + _SPACE * row for row in range(len(inches))]
        # One pair of axes measured in inches for all pictures: a pair for each would take most of the time.
        axes = body.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        for top, tall, label in zip(tops, inches, self.labels, strict=True):
            body.text(*place(0.08, top + tall / 2), label, size=8, va="center", linespacing=1.15)
        left = _LEFT
        for column, pictures in zip(self.columns, self._pictures, strict=True):
            width = pictures[0].shape[1] * self._pixel
            for line, text in enumerate(column.heading):
                body.text(
                    *place(left + width / 2, line * _HEAD_LINE + 0.03), text, size=8, ha="center", va="top",
                    weight="bold" if line == 0 else "normal", color=WARNED if column.warned else INK,
                    gid="warned" if column.warned else None,
                )  # fmt: skip
            for top, picture in zip(tops, pictures, strict=True):
                extent = (left, left + width, top + picture.shape[0] * self._pixel, top)
                axes.imshow(picture, interpolation="nearest", aspect="auto", extent=extent)
            left += width + _SPACE
        axes.set_xlim(0, WIDTH_INCHES)
        axes.set_ylim(height, 0)
