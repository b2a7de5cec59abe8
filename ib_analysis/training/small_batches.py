"""Batches too small for a network: batch normalisation cannot train on a single value per channel."""

from __future__ import annotations

import copy

import torch

from ib_analysis.artifacts import UserError
from ib_analysis.encoders import TappedNetwork
from ib_analysis.training.batches import Batches

__all__ = ["check_smallest_batch"]


@torch.no_grad()
def check_smallest_batch(network: TappedNetwork, batches: Batches, batch_size: int, processes: int = 1) -> None:
    """Refuse a batch size that leaves some process with less in a step than the network can be trained on.

    A single image is enough for layers that see several pixels of it, and such configs work; it is one value per
    channel where an image is down to one pixel (h4, or small images), and torch refuses that.

    Arguments:
        network: not changed.
        batches: of an epoch.
        batch_size: as the user chose it.
        processes: that share each batch.

    Raises:
        UserError: a share has no image, or a single one that is too little; the sentence names a batch size that would
            do.
    """
    n_images = len(batches.images)
    if _smallest_share(n_images, batch_size, processes) >= 2:
        return
    if _smallest_share(n_images, batch_size, processes) == 1 and _trains_on(network, batches.images[:1]):
        return
    enough = next((b for b in range(batch_size, n_images + 1) if _smallest_share(n_images, b, processes) >= 2), None)
    remedy = f"choose --training.batch_size {enough}" if enough else "use more images or fewer processes"
    shared = f" over {processes} processes" if processes > 1 else ""
    raise UserError(
        f"training.batch_size is {batch_size}: cut into equal batches{shared}, {n_images} images leave some step with "
        f"less than 2, on which batch normalisation cannot train; {remedy}."
    )


def _smallest_share(n_images: int, batch_size: int, processes: int) -> int:
    """Images of the smallest share of the smallest batch, as `Batches` cuts them."""
    return n_images // -(-n_images // batch_size) // processes


def _trains_on(network: TappedNetwork, images: torch.Tensor) -> bool:
    try:
        copy.deepcopy(network).train()(images)
    except ValueError as error:
        if "more than 1 value per channel" in str(error):
            return False
        raise
    return True
