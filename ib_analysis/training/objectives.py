"""What encoders are trained for, and how well they do it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ib_analysis.artifacts import UserError
from ib_analysis.data.interface import ImageData, Split
from ib_analysis.encoders import JointOutput, Task, psnr_db
from ib_analysis.training.trade_off import TradeOff

__all__ = ["Autoencoding", "Classification", "Joint", "Objective", "objective_for"]


class Objective(ABC):
    """A loss per image, and figures to report.

    Attributes:
        quality: the column of ``training.csv`` that tells how good the network is.
    """

    quality: str

    @abstractmethod
    def scores(self, output: Any, images: Tensor, labels: Tensor) -> Tensor:
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


class Joint(Objective):
    """Both of them, each in units of what a predictor gets that knows no image; qualities are accuracy and PSNR.

    A preference compares losses by their ratio, and nats with squared intensities have none that means something. So
    the cross-entropy is divided by the entropy of the training labels, which is what their frequencies get for a
    prediction, and the squared error by the variance of the pixels, which is what their mean gets. Either loss is
    positive, 1 for who knows nothing and 0 for who knows all: the share of the uncertainty about the label, or of the
    variance of the pixels, that is left. Neither depends on the number of classes or pixels or on contrast.

    Arguments:
        autoencoding: the second one.
        label_entropy: of the training labels, nats.
        trade_off: what is wanted of both.

    Raises:
        UserError: all training images have one label, or none.
    """

    quality = "accuracy"

    def __init__(self, autoencoding: Autoencoding, label_entropy: float, trade_off: TradeOff) -> None:
        if not label_entropy > 0:
            raise UserError("The task joint needs images of two classes at least; choose autoencoding.")
        self.autoencoding, self.label_entropy, self.trade_off = autoencoding, label_entropy, trade_off

    def scores(self, output: JointOutput, images: Tensor, labels: Tensor) -> Tensor:
        return torch.cat(
            [
                Classification().scores(output.logits, images, labels),
                self.autoencoding.scores(output.image, images, labels),
            ],
            dim=1,
        )

    def losses(self, means: Tensor) -> Tensor:
        """Classification and reconstruction loss, shape (2,), from the means of scores, shape (3,)."""
        return torch.stack([means[0] / self.label_entropy, means[2] / self.autoencoding.variance])

    def report(self, means: list[float]) -> dict[str, float]:
        """Beside both qualities and losses: ``loss``, what the trade-off makes small."""
        losses = self.losses(torch.tensor(means, dtype=torch.float64)).tolist()
        return {
            "loss": self.trade_off.value(losses),
            "accuracy": means[1],
            "psnr_db": psnr_db(means[2]),
            "classification_loss": losses[0],
            "reconstruction_loss": losses[1],
        }


def objective_for(task: Task, data: ImageData, trade_off: TradeOff | None = None) -> Objective:
    """The objective of a task; a new task is one class and one line here.

    Arguments:
        trade_off: of the task `joint`.

    Raises:
        UserError: the images have too few labels for the task.
        ValueError: `joint` without a trade-off.
    """
    makers: dict[str, Any] = {
        "classification": lambda: Classification(),
        "autoencoding": lambda: Autoencoding(data.intensities, _pixel_variance(data)),
        "joint": lambda: _joint(data, trade_off),
    }
    return makers[task]()


def _joint(data: ImageData, trade_off: TradeOff | None) -> Joint:
    if trade_off is None:
        raise ValueError("The task joint needs a trade-off.")
    return Joint(Autoencoding(data.intensities, _pixel_variance(data)), _label_entropy_nats(data.encoder), trade_off)


def _label_entropy_nats(split: Split) -> float:
    """Entropy of the frequencies of labels."""
    counts = np.bincount(np.asarray(split.labels))
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum()) + 0.0  # no -0.0


def _pixel_variance(data: ImageData) -> float:
    # From exact counts, so that it depends on no order of summation.
    counts = np.zeros(data.intensities)
    for start in range(0, len(data.encoder.images), 4096):
        counts += np.bincount(data.encoder.images[start : start + 4096].ravel(), minlength=data.intensities)
    levels = np.arange(data.intensities) / (data.intensities - 1)
    mean = (counts @ levels) / counts.sum()
    return max(float(counts @ (levels - mean) ** 2 / counts.sum()), 1e-6)
