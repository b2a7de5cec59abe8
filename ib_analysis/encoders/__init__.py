"""Networks with named taps."""

from ib_analysis.encoders.autoencoder import Autoencoder, ResNetAutoencoder, psnr_db, reconstruct
from ib_analysis.encoders.binary_network import BinaryAutoencoder, BinaryClassifier, BinaryNetwork
from ib_analysis.encoders.build import build_encoder, tap_names
from ib_analysis.encoders.config import EncoderConfig, Task
from ib_analysis.encoders.cost import LayerWork, layer_works, multiply_accumulates
from ib_analysis.encoders.dense import DenseClassifier
from ib_analysis.encoders.dense_config import CONVOLUTIONS, NORMALISATIONS, DenseNetworkConfig
from ib_analysis.encoders.equal_parameters import equal_parameters, parameter_count
from ib_analysis.encoders.generalized_layer import STREAMS
from ib_analysis.encoders.interface import (
    HasDecayOrigins,
    TappedNetwork,
    check_tap_names,
    decay_origins,
    tap_shapes,
)
from ib_analysis.encoders.joint_network import JointOutput, ResNetJoint
from ib_analysis.encoders.learned_groups import condense, expect_steps
from ib_analysis.encoders.named_taps import NamedTaps
from ib_analysis.encoders.resnet import ResNetClassifier
from ib_analysis.encoders.rir import RiRAutoencoder, RiRClassifier, stream_pairs, stream_tap

__all__ = [
    "CONVOLUTIONS",
    "NORMALISATIONS",
    "STREAMS",
    "Autoencoder",
    "BinaryAutoencoder",
    "BinaryClassifier",
    "BinaryNetwork",
    "DenseClassifier",
    "DenseNetworkConfig",
    "EncoderConfig",
    "HasDecayOrigins",
    "JointOutput",
    "LayerWork",
    "NamedTaps",
    "ResNetAutoencoder",
    "ResNetClassifier",
    "ResNetJoint",
    "RiRAutoencoder",
    "RiRClassifier",
    "TappedNetwork",
    "Task",
    "build_encoder",
    "check_tap_names",
    "condense",
    "decay_origins",
    "equal_parameters",
    "expect_steps",
    "layer_works",
    "multiply_accumulates",
    "parameter_count",
    "psnr_db",
    "reconstruct",
    "stream_pairs",
    "stream_tap",
    "tap_names",
    "tap_shapes",
]
