"""Data-dependent initialisation on the first minibatch of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from decoders.fitting.batches import on_device, rows
from decoders.fitting.gradients import StepDraw
from decoders.fitting.micro_batches import with_fitting_micro_batch

if TYPE_CHECKING:
    from decoders import Decoder

__all__ = ["initialise_from_minibatch"]


def initialise_from_minibatch(decoder: Decoder, draw: StepDraw, device: torch.device) -> None:
    """Scale the decoder's weights to a minibatch (Salimans & Kingma 2016, arXiv 1602.07868, section 3).

    Where the memory of a GPU is short, the first half of the images is used, or the first quarter, and so on:
    means and deviations cannot be put together from parts, since each layer needs those of the layer before
    it.

    Args:
        decoder: the network, on ``device``.
        draw: the first step's minibatch and null mask.
        device: where to compute.

    Raises:
        torch.OutOfMemoryError: not even one image fits on the GPU.
    """
    untouched = {name: tensor.clone() for name, tensor in decoder.state_dict().items()}

    def initialise(size: int) -> None:
        decoder.load_state_dict(untouched)
        part = on_device(rows(draw.minibatch, 0, size), device)
        mask = None if draw.null_mask is None else draw.null_mask[:size].to(device)
        decoder.initialise(part.images, part.condition, mask)

    with_fitting_micro_batch(initialise, len(draw.minibatch))
