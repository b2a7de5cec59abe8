"""What a classifier is worth, image by image."""

from __future__ import annotations

import math

import numpy as np
import torch

from decoders.precision import full_precision
from ib_analysis.data import Split
from ib_analysis.encoders import TappedNetwork
from ib_analysis.training.loop import EVALUATION_BATCH
from ib_analysis.training.objectives import Classification

__all__ = ["judge"]


@full_precision()
@torch.inference_mode()
def judge(network: TappedNetwork, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Whether a network is right about each image, and its cross-entropy there, in evaluation mode and without
    augmentation.

    Returns:
        shape (N,), uint8, and shape (N,), float32, bits.
    """
    device = next(network.parameters()).device
    network.eval()
    scores = []
    for start in range(0, len(split), EVALUATION_BATCH):
        images = torch.as_tensor(split.images[start : start + EVALUATION_BATCH]).to(device)
        labels = torch.as_tensor(split.labels[start : start + EVALUATION_BATCH]).to(device)
        scores.append(Classification().scores(network(images), images, labels).cpu())
    loss, correct = torch.cat(scores).numpy().T
    return correct.astype(np.uint8), (loss / math.log(2)).astype(np.float32)
