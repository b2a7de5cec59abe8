"""Conditional density models of images.

A decoder called on a condition gives a distribution over images: `decoder(condition).log_prob(x)`.
"""

from decoders.code_lengths import code_length_maps_bits, code_lengths_and_mean_map_bits, code_lengths_bits
from decoders.config import Architecture, Cell, ImageSpace, PixelCNNPPConfig, ReaderArchitecture
from decoders.distribution import ImageDistribution
from decoders.fitting.batches import Minibatch, TrainingData
from decoders.fitting.fit import Fit, fit
from decoders.fitting.schedule import FittingConfig
from decoders.pixelcnnpp import PixelCNNPP
from decoders.reader import Reader
from decoders.readings import Condition

Decoder = PixelCNNPP | Reader
"""Networks that give a distribution over images, with or without a condition: one interface."""

__all__ = [
    "Architecture",
    "Cell",
    "Condition",
    "Decoder",
    "Fit",
    "FittingConfig",
    "ImageDistribution",
    "ImageSpace",
    "Minibatch",
    "PixelCNNPP",
    "PixelCNNPPConfig",
    "Reader",
    "ReaderArchitecture",
    "TrainingData",
    "code_length_maps_bits",
    "code_lengths_and_mean_map_bits",
    "code_lengths_bits",
    "fit",
]
