"""What a network learns from another one's class probabilities, beside the labels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ib_analysis.encoders import TappedNetwork

__all__ = ["Distillation"]


class Distillation:
    """The loss (1 - share) x cross-entropy + share x T^2 KL(teacher || student), both at temperature T (Hinton et al.
    2015, arXiv 1503.02531; ReActNet, arXiv 2003.03488, has share 1 and T 1).

    Arguments:
        teacher: a trained classifier; it is set to evaluation mode and never changed.
        share: of the divergence, 0..1.
        temperature: T, greater than 0.
    """

    def __init__(self, teacher: TappedNetwork, share: float, temperature: float) -> None:
        self.teacher, self.share, self.temperature = teacher.eval().requires_grad_(False), share, temperature

    def mixed(self, loss: Tensor, logits: Tensor, images: Tensor) -> Tensor:
        """The loss of a batch.

        Arguments:
            loss: mean cross-entropy of the labels, nats.
            logits: the student's, shape (B, classes).
            images: what both see, shape (B, C, H, W), integers.
        """
        self.teacher.to(images.device)
        with torch.no_grad():
            told = F.log_softmax(self.teacher(images).float() / self.temperature, dim=1)
        own = F.log_softmax(logits.float() / self.temperature, dim=1)
        divergence = F.kl_div(own, told, reduction="batchmean", log_target=True)
        return (1 - self.share) * loss + self.share * self.temperature**2 * divergence
