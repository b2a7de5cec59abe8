"""Train encoders and keep their history."""

from ib_analysis.training.batches import Batches
from ib_analysis.training.checkpoints import checkpoint_artifact, is_complete, load_encoder
from ib_analysis.training.config import TrainingConfig, checkpoint_epochs, learning_rate
from ib_analysis.training.devices import make_accelerator
from ib_analysis.training.loop import train

__all__ = [
    "Batches",
    "TrainingConfig",
    "checkpoint_artifact",
    "checkpoint_epochs",
    "is_complete",
    "learning_rate",
    "load_encoder",
    "make_accelerator",
    "train",
]
