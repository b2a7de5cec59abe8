"""Mean code lengths of the validation images, shared out over the processes of a fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate import Accelerator
from torch import distributed

from decoders.code_lengths import code_lengths_bits
from decoders.fitting.batches import Minibatch

if TYPE_CHECKING:
    from decoders import Decoder

__all__ = ["ValidationBits", "validation_bits"]


@dataclass(frozen=True)
class ValidationBits:
    """Mean code lengths in bits per image."""

    conditional: float
    """Given the conditions."""
    null: float
    """Under the null condition; the same for minibatches without a condition."""
    cells: dict[str, float] = field(default_factory=dict)
    """Given the conditions, the images of each cell (or of cells beside each other: `Condition.name`) by themselves."""


def validation_bits(decoder: Decoder, minibatches: Iterable[Minibatch], accelerator: Accelerator) -> ValidationBits:
    """Code lengths of the validation images: all together, without conditions, and cell by cell.

    Process r of n evaluates minibatches r, r + n, ...; every process returns the means of all.

    Raises:
        ValueError: there is no validation image.
    """
    everything = list(minibatches)
    names = sorted({part.name for minibatch in everything for part in minibatch.condition or ()})
    # Columns: all given their conditions, all under the null, then the cells. Rows: sum of bits, number of images.
    totals = np.zeros((2, 2 + len(names)))
    for index, minibatch in enumerate(everything):
        if index % accelerator.num_processes != accelerator.process_index:
            continue
        bits = code_lengths_bits(decoder, [minibatch])
        null = bits if minibatch.condition is None else code_lengths_bits(decoder, [minibatch], null=True)
        totals[:, 0] += bits.sum(), len(bits)
        totals[:, 1] += null.sum(), len(null)
        start = 0
        for part in minibatch.condition or ():
            own = bits[start : start + len(part.activations)]
            totals[:, 2 + names.index(part.name)] += own.sum(), len(own)
            start += len(own)
    if accelerator.num_processes > 1:
        shared = torch.from_numpy(totals).to(accelerator.device)
        distributed.all_reduce(shared)
        totals = shared.cpu().numpy()
    if totals[1, 0] == 0:
        raise ValueError("There is no validation image: a fit needs some to know when it has converged.")
    conditional, unconditional, *cells = (totals[0] / totals[1]).tolist()
    return ValidationBits(conditional, unconditional, dict(zip(names, cells, strict=True)))
