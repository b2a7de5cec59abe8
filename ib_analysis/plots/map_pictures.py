"""Maps of single images in bits as small coloured pictures for the page: orange is more, purple is less than zero."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import matplotlib
import numpy as np

from ib_analysis.plots.mosaic import png_data_url

__all__ = ["MapScale"]

_STEPS = 101
"""Colours, an odd number: the one in the middle is zero. Fewer make smaller pictures."""
_PALETTE = matplotlib.colormaps["PuOr_r"](np.linspace(0, 1, _STEPS), bytes=True)[:, :3]
_NOT_FINITE = np.array([[140, 140, 140]], np.uint8)


class MapScale:
    """One scale of colours, symmetric about zero, for all maps that are to be compared.

    Arguments:
        maps: each of shape (..., C, H, W), bits. The scale ends where 99 % of the pixels' sums over channels are
            inside; what is outside has the colour of the end.
    """

    def __init__(self, maps: Iterable[np.ndarray]) -> None:
        sizes = np.concatenate([np.abs(values.sum(-3)).ravel() for values in maps])
        finite = sizes[np.isfinite(sizes)]
        self.limit_bits = float(np.quantile(finite, 0.99)) if finite.size else 0.0
        self.limit_bits = self.limit_bits or 1.0  # all are zero: any scale will do

    def sprite(self, maps: np.ndarray) -> str:
        """A grid of maps (rows, columns, C, H, W), summed over channels, as one PNG without gaps."""
        values = maps.sum(2)  # (rows, columns, H, W)
        finite = np.isfinite(values)
        scaled = np.clip(np.where(finite, values, 0) / self.limit_bits, -1, 1)
        index = np.rint((scaled + 1) / 2 * (_STEPS - 1)).astype(np.uint8)
        index[~finite] = _STEPS
        rows, columns, height, width = index.shape
        return png_data_url(
            index.swapaxes(1, 2).reshape(rows * height, columns * width), np.concatenate([_PALETTE, _NOT_FINITE])
        )

    def legend(self) -> dict[str, Any]:
        """The end of the scale in bits, and colours from minus to plus it, for the page."""
        colours = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in _PALETTE[:: (_STEPS - 1) // 10].tolist()]
        return {"limit": self.limit_bits, "colours": colours}
