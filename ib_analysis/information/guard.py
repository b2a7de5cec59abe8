"""What a fit that names images by their places asks before it looks at them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

__all__ = ["Guard", "check_places", "unguarded"]


class Guard(Protocol):
    """Stops a fit that is about to look at an image that it is evaluated on."""

    def __call__(self, places: Sequence[int] | Tensor, where: str) -> None:
        """Called with every batch before it is used.

        Arguments:
            places: of the images among all images, those of the evaluation included.
            where: what the fit does with them, for the sentence: `a training minibatch`, for instance.

        Raises:
            UserError: one of them must not be seen.
        """


def unguarded(places: Sequence[int] | Tensor, where: str) -> None:
    """Stops nothing: for arrays that belong to no images."""


def check_places(guard: Guard, images: slice, where: str) -> None:
    """Ask the guard about a part of the images."""
    guard(range(images.start, images.stop), where)
