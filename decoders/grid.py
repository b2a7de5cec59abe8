"""Laying a layer's map over the image: onto a grid that divides it, and from there to every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

__all__ = ["Grid", "depth_to_space", "grid_of"]


def smallest_divisor(size: int, at_least: int) -> int:
    """The smallest divisor of a size that is at least so large.

    >>> smallest_divisor(9, 2), smallest_divisor(8, 3)
    (3, 4)
    """
    return next(divisor for divisor in range(1, size + 1) if size % divisor == 0 and divisor >= min(at_least, size))


@dataclass(frozen=True)
class Grid:
    """The grid of a layer's activations in the image.

    Arguments:
        size: (h, w) of the grid; it divides the image.
        pixels: (H / h, W / w): the image's pixels in a place of the grid.
        is_map: whether the activations are a map (C, h, w); else they are a vector, which a dense map has to lay out.
        resize: (h, w) to which a map is resized first, where its own size does not divide the image; None: it does.
        fold: (a, b): places of a map finer than the image that become channels of one pixel.
    """

    size: tuple[int, int]
    pixels: tuple[int, int]
    is_map: bool
    resize: tuple[int, int] | None = None
    fold: tuple[int, int] = (1, 1)

    def bring(self, x: Tensor) -> Tensor:
        """A map (B, C, h, w) to the grid: (B, C a b, *size)."""
        if self.resize is not None:
            x = F.interpolate(x, self.resize, mode="bilinear", align_corners=False)
        if self.fold == (1, 1):
            return x
        down, right = self.fold
        x = x.unflatten(2, (self.size[0], down)).unflatten(4, (self.size[1], right))  # (B, C, h, a, w, b)
        return x.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)


def grid_of(shape: tuple[int, ...], image: tuple[int, int]) -> Grid:
    """The grid of activations (C, h, w) or (C,) in an image of (H, W) pixels; vectors get one of about 4x4.

    >>> grid_of((64, 4, 4), (16, 16))
    Grid(size=(4, 4), pixels=(4, 4), is_map=True, resize=None, fold=(1, 1))
    >>> grid_of((64,), (9, 9)).size
    (9, 9)
    """
    spatial = shape[1:] if len(shape) == 3 and shape[1:] != (1, 1) else None
    if spatial is None:
        size = (smallest_divisor(image[0], 4), smallest_divisor(image[1], 4))
        return Grid(size, (image[0] // size[0], image[1] // size[1]), False)
    # Too coarse: a grid that divides the image. Too fine: a multiple of the image, folded into channels.
    high, wide = (
        smallest_divisor(whole, part) if part <= whole else whole * -(-part // whole)
        for part, whole in zip(spatial, image, strict=True)
    )
    size = (min(high, image[0]), min(wide, image[1]))
    return Grid(
        size,
        (image[0] // size[0], image[1] // size[1]),
        True,
        None if (high, wide) == spatial else (high, wide),
        (high // size[0], wide // size[1]),
    )


def depth_to_space(x: Tensor, factors: tuple[int, int]) -> Tensor:
    """Sub-pixel convolution's second half (Shi et al. 2016): (B, F a b, h, w) to (B, F, h a, w b)."""
    down, right = factors
    if factors == (1, 1):
        return x
    x = x.unflatten(1, (-1, down, right)).permute(0, 1, 4, 2, 5, 3)  # (B, F, h, a, w, b)
    return x.reshape(x.shape[0], x.shape[1], x.shape[2] * down, x.shape[4] * right)
