"""Networks with named taps."""

from ib_analysis.encoders.autoencoder import ResNetAutoencoder, psnr_db, reconstruct
from ib_analysis.encoders.binary_network import BinaryAutoencoder, BinaryClassifier, BinaryNetwork
from ib_analysis.encoders.build import build_encoder, tap_names
from ib_analysis.encoders.config import EncoderConfig, Task
from ib_analysis.encoders.cost import LayerWork, layer_works, multiply_accumulates
from ib_analysis.encoders.interface import TappedNetwork, tap_shapes
from ib_analysis.encoders.named_taps import NamedTaps
from ib_analysis.encoders.resnet import ResNetClassifier

__all__ = [
    "BinaryAutoencoder",
    "BinaryClassifier",
    "BinaryNetwork",
    "EncoderConfig",
    "LayerWork",
    "NamedTaps",
    "ResNetAutoencoder",
    "ResNetClassifier",
    "TappedNetwork",
    "Task",
    "build_encoder",
    "layer_works",
    "multiply_accumulates",
    "psnr_db",
    "reconstruct",
    "tap_names",
    "tap_shapes",
]
