"""Computing in parts what does not fit in the memory of a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

__all__ = ["with_fitting_micro_batch"]

Result = TypeVar("Result")


def with_fitting_micro_batch(compute: Callable[[int], Result], micro_batch: int) -> tuple[Result, int]:
    """Call ``compute(micro_batch)``; as long as it runs out of memory, halve the micro-batch and call it
    again.

    Args:
        compute: gives the same result for any micro-batch, and starts anew at each call.
        micro_batch: number of images to try at once.

    Returns:
        The result, and the micro-batch that fitted.

    Raises:
        torch.OutOfMemoryError: not even one image fits.

    Example:
        >>> def compute(n):
        ...     if n > 20:
        ...         raise torch.OutOfMemoryError("too much")
        ...     return "done"
        >>> with_fitting_micro_batch(compute, 64)
        ('done', 16)
    """
    while True:
        try:
            return compute(micro_batch), micro_batch
        except torch.OutOfMemoryError as error:
            if micro_batch <= 1:
                raise torch.OutOfMemoryError(
                    "Not even one image fits in the memory of the GPU: choose fewer filters or blocks."
                ) from error
        # Only here, with the error gone, are the tensors of the failed pass free.
        torch.cuda.empty_cache()
        micro_batch = (micro_batch + 1) // 2
