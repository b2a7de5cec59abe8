"""What a network makes of every evaluation image: right or wrong, and both losses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from decoders.precision import full_precision
from ib_analysis.experiment import Experiment, Run
from ib_analysis.records.encoders import encoder_at
from ib_analysis.records.images import images_of
from ib_analysis.training import TradeOff
from ib_analysis.training.loop import EVALUATION_BATCH
from ib_analysis.training.objectives import Joint, objective_for

__all__ = ["OnImages", "on_images"]

ANY = TradeOff("exact", (1.0, 1.0))
"""For the units of losses, which do not depend on what is wanted."""


@dataclass(frozen=True)
class OnImages:
    """Arrays of shape (N,), one value per evaluation image; None of what the network does not do.

    Arguments:
        correct: 0 or 1.
        classification_loss: cross-entropy by the entropy of the labels.
        squared_error: mean over the pixels, of intensities in [0, 1].
        variance: of the pixels over the training images, the unit of the reconstruction loss.
    """

    correct: np.ndarray | None
    classification_loss: np.ndarray | None
    squared_error: np.ndarray | None
    variance: float

    @property
    def reconstruction_loss(self) -> np.ndarray | None:
        return None if self.squared_error is None else self.squared_error / self.variance


@full_precision()
@torch.inference_mode()
def on_images(experiment: Experiment, run: Run, epoch: int) -> OnImages:
    """Judge a run's network as it was after an epoch, in evaluation mode."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network, data = encoder_at(experiment, run, epoch).to(device), images_of(experiment)
    objective, units = objective_for(run.trained_for, data, run.trade_off), objective_for("joint", data, ANY)
    assert isinstance(units, Joint)
    split, found = data.evaluation, []
    for start in range(0, len(split), EVALUATION_BATCH):
        images = torch.as_tensor(split.images[start : start + EVALUATION_BATCH]).to(device)
        labels = torch.as_tensor(split.labels[start : start + EVALUATION_BATCH]).to(device)
        found.append(objective.scores(network(images), images, labels).double().cpu().numpy())
    scores = np.concatenate(found).T
    classifies = run.trained_for != "autoencoding"
    return OnImages(
        correct=scores[1] if classifies else None,
        classification_loss=scores[0] / units.label_entropy if classifies else None,
        squared_error=scores[-1] if run.reconstructs else None,
        variance=units.autoencoding.variance,
    )
