"""Code lengths: the bits per image that a fitted decoder needs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch

from .batches import Minibatch, on_device, rows
from .micro_batches import with_fitting_micro_batch
from .precision import full_precision

if TYPE_CHECKING:
    from .pixelcnnpp import PixelCNNPP

__all__ = ["code_lengths_bits"]


def code_lengths_bits(decoder: PixelCNNPP, minibatches: Iterable[Minibatch], null: bool = False) -> np.ndarray:
    """Code length -log2 q(x | h) of every image.

    Computed in evaluation mode where the decoder is, in the precision of its parameters, never in TF32. What does
    not fit on a GPU is computed in smaller parts. The decoder is left in the mode that it was in.

    Args:
        decoder: a conditional density model of images.
        minibatches: the images with their conditions.
        null: use the null condition instead of the conditions: -log2 q(x | null).

    Returns:
        float64, shape (N,), bits, in the order of the images.

    Raises:
        torch.OutOfMemoryError: not even one image fits on the GPU.
    """
    device = next(decoder.parameters()).device
    training = decoder.training
    decoder.eval()
    lengths: list[np.ndarray] = []
    limit: int | None = None
    try:
        for minibatch in minibatches:
            if len(minibatch) == 0:
                continue
            unconditional = Minibatch(minibatch.images) if null else minibatch
            bits, used = with_fitting_micro_batch(
                lambda size, batch=unconditional: _bits(decoder, batch, size, device),  # type: ignore[misc]
                min(len(minibatch), limit or len(minibatch)),
            )
            lengths.append(bits)
            if used < len(minibatch):
                limit = used
    finally:
        decoder.train(training)
    return np.concatenate(lengths) if lengths else np.empty(0)


@full_precision()
@torch.inference_mode()
def _bits(decoder: PixelCNNPP, minibatch: Minibatch, micro_batch: int, device: torch.device) -> np.ndarray:
    parts = []
    for start in range(0, len(minibatch), micro_batch):
        part = on_device(rows(minibatch, start, start + micro_batch), device)
        log_prob = decoder(part.condition).log_prob(part.images)
        parts.append(-log_prob.double().cpu().numpy() / math.log(2))
    return np.concatenate(parts)
