"""Statistics of batch normalisations that have not been trained."""

from __future__ import annotations

import torch
from torch import nn

from ib_analysis.training.batches import Batches

__all__ = ["calibrate_fresh"]

STEPS = 8
"""Batches from which statistics are learned."""


@torch.no_grad()
def calibrate_fresh(network: nn.Module, batches: Batches) -> None:
    """Give fresh batch normalisations the statistics of the images; those that have seen batches stay as they are.

    They begin with mean 0 and variance 1: in evaluation mode a residual network would then double its variance with
    every block, and a deep one would leave the range of float16 before it is trained at all.
    """
    fresh = [
        module
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        and module.num_batches_tracked is not None
        and module.num_batches_tracked == 0
    ]
    if not fresh:
        return
    momenta = [module.momentum for module in fresh]
    for module in fresh:
        module.momentum = None  # the plain mean over batches
    network.eval()
    for module in fresh:
        module.train()
    for step in range(min(STEPS, len(batches))):
        network(batches.batch(0, step)[0])
    for module, momentum in zip(fresh, momenta, strict=True):
        module.momentum = momentum
        assert module.num_batches_tracked is not None
        module.num_batches_tracked.zero_()
