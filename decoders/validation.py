"""Mean code lengths of the validation images, shared out over the processes of a fit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator
from torch import distributed

from .batches import Minibatch
from .code_lengths import code_lengths_bits

if TYPE_CHECKING:
    from .pixelcnnpp import PixelCNNPP

__all__ = ["mean_code_lengths_bits"]


def mean_code_lengths_bits(
    decoder: PixelCNNPP, minibatches: Iterable[Minibatch], accelerator: Accelerator
) -> tuple[float, float]:
    """Mean code length in bits per image: given the conditions, and under the null condition.

    Both are the same for minibatches without a condition. Process r of n evaluates minibatches r, r + n, ...;
    every process returns the mean of all.

    Raises:
        ValueError: there is no validation image.
    """
    totals = torch.zeros(3, dtype=torch.float64, device=accelerator.device)
    for index, minibatch in enumerate(minibatches):
        if index % accelerator.num_processes != accelerator.process_index:
            continue
        bits = code_lengths_bits(decoder, [minibatch])
        null = bits if minibatch.condition is None else code_lengths_bits(decoder, [minibatch], null=True)
        totals += torch.tensor([bits.sum(), null.sum(), len(bits)], dtype=torch.float64, device=totals.device)
    if accelerator.num_processes > 1:
        distributed.all_reduce(totals)
    conditional, unconditional, count = totals.tolist()
    if count == 0:
        raise ValueError("There is no validation image: a fit needs some to know when it has converged.")
    return conditional / count, unconditional / count
