"""Train encoders and keep their history."""

from ib_analysis.training.batches import Batches
from ib_analysis.training.binary_course import binary_course, first_phase
from ib_analysis.training.checkpoints import checkpoint_artifact, is_complete, load_encoder
from ib_analysis.training.config import TrainingConfig, checkpoint_epochs, learning_rate
from ib_analysis.training.course import Course, Step, ordinary_course
from ib_analysis.training.devices import make_accelerator
from ib_analysis.training.distillation import Distillation
from ib_analysis.training.history import final_accuracy
from ib_analysis.training.joint_config import JointConfig
from ib_analysis.training.loop import TrainingDiverged, train
from ib_analysis.training.trade_off import TradeOff

__all__ = [
    "Batches",
    "Course",
    "Distillation",
    "JointConfig",
    "Step",
    "TradeOff",
    "TrainingConfig",
    "TrainingDiverged",
    "binary_course",
    "checkpoint_artifact",
    "checkpoint_epochs",
    "final_accuracy",
    "first_phase",
    "is_complete",
    "learning_rate",
    "load_encoder",
    "make_accelerator",
    "ordinary_course",
    "train",
]
