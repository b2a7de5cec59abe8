"""What encoders are trained for, and how well they do it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ib_analysis.data.interface import ImageData
from ib_analysis.encoders import Task, psnr_db

__all__ = ["Autoencoding", "Classification", "Objective", "objective_for"]


class Objective(ABC):
    """A loss per image, and figures to report.

    Attributes:
        quality: the column of ``training.csv`` that tells how good the network is.
    """

    quality: str

    @abstractmethod
    def scores(self, output: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """Scores per image that are summed for the report, shape (B, K), float; the first is the loss."""

    @abstractmethod
    def report(self, means: list[float]) -> dict[str, float]:
        """Turn means of scores over a data set into ``loss`` and the quality."""

    def minimised(self, mean_loss: Tensor) -> Tensor:
        """What is minimised, from the mean loss of a batch; the loss itself unless its scale has to be set."""
        return mean_loss


class Classification(Objective):
    """Cross-entropy in nats; quality is accuracy, 0 to 1."""

    quality = "accuracy"

    def scores(self, output: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        loss = F.cross_entropy(output.float(), labels, reduction="none")
        return torch.stack([loss, (output.argmax(1) == labels).float()], dim=1)

    def report(self, means: list[float]) -> dict[str, float]:
        return {"loss": means[0], "accuracy": means[1]}


class Autoencoding(Objective):
    """Mean squared error of pixels in [0, 1]; quality is PSNR in dB.

    The error is minimised in units of the pixels' variance, as the learning rate would otherwise depend on the
    images' contrast.

    Arguments:
        intensities: number of levels of a pixel.
        variance: of the pixels in [0, 1] over the training images.
    """

    quality = "psnr_db"

    def __init__(self, intensities: int, variance: float) -> None:
        self.intensities, self.variance = intensities, variance

    def scores(self, output: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        target = images.to(torch.float32) / (self.intensities - 1)
        return (output.float() - target).square().flatten(1).mean(1, keepdim=True)

    def report(self, means: list[float]) -> dict[str, float]:
        return {"loss": means[0], "psnr_db": psnr_db(means[0])}

    def minimised(self, mean_loss: Tensor) -> Tensor:
        return mean_loss / self.variance


def objective_for(task: Task, data: ImageData) -> Objective:
    """The objective of a task; a new task is one class and one line here."""
    makers: dict[str, Any] = {
        "classification": lambda: Classification(),
        "autoencoding": lambda: Autoencoding(data.intensities, _pixel_variance(data)),
    }
    return makers[task]()


def _pixel_variance(data: ImageData) -> float:
    # From exact counts, so that it depends on no order of summation.
    counts = np.zeros(data.intensities)
    for start in range(0, len(data.encoder.images), 4096):
        counts += np.bincount(data.encoder.images[start : start + 4096].ravel(), minlength=data.intensities)
    levels = np.arange(data.intensities) / (data.intensities - 1)
    mean = (counts @ levels) / counts.sum()
    return max(float(counts @ (levels - mean) ** 2 / counts.sum()), 1e-6)
