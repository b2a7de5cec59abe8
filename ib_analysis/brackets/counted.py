"""The information in a layer of very few bits, by counting its values over images: the truth for brackets."""

from __future__ import annotations

import math

import numpy as np
import torch

from ib_analysis.data import DataConfig, FactorsConfig
from ib_analysis.data.factors import draw, enumerate_images, factor_bits
from ib_analysis.encoders import TappedNetwork
from ib_analysis.information.estimates import plug_in_entropy_bits
from ib_analysis.information.intervals import Interval

__all__ = ["LARGEST_LAYER_BITS", "counted_information_bits", "entropy_from_counts"]

LARGEST_LAYER_BITS = 12
"""Layers of more bits have too many values to be counted."""
LARGEST_ENUMERATION_BITS = 16.0
"""Up to here all images are enumerated; where there are more, `DRAWN_IMAGES` are drawn."""
DRAWN_IMAGES = 2**17
CONFIDENCE_FACTOR = 1.96
BATCH = 512


def counted_information_bits(
    data: DataConfig, encoder: TappedNetwork, layer: str, bits: int
) -> tuple[Interval, int] | None:
    """I(X;H) = H(H) of a layer of codes, by counting; None where it cannot be counted.

    Exact where the data set has at most 2^16 images, which are then all looked at; else over fresh draws, with an
    interval. Only the source `factors` says how its images are distributed.

    Arguments:
        encoder: in evaluation mode, whose tap gives codes.
        bits: of a code.

    Returns:
        The entropy in bits, and the number of images; the interval has no width where all images were enumerated.
    """
    if data.source != "factors":
        return None
    settings = data.factors
    images, exact = _images(settings, data.seed)
    device = next((tensor.device for tensor in encoder.parameters()), torch.device("cpu"))
    values = []
    for start in range(0, len(images), BATCH):
        with torch.no_grad():
            codes = encoder.taps(torch.from_numpy(images[start : start + BATCH]).to(device))[layer].flatten(1).cpu()
        if codes.shape[1] * bits > LARGEST_LAYER_BITS:
            return None
        places = 2.0 ** (bits * torch.arange(codes.shape[1]))
        values.append((codes.float() @ places).long().numpy())
    return entropy_from_counts(np.concatenate(values), exact), len(images)


def entropy_from_counts(values: np.ndarray, exact: bool) -> Interval:
    """Entropy of a discrete variable from its values over images.

    Arguments:
        values: shape (N,), integers.
        exact: whether these are all images, equally likely. If not, they are independent draws: the estimate has the
            correction of Miller (1955), (k - 1) / (2 N ln 2), and a 95 % interval from the spread of -log2 of the
            shares.

    >>> entropy_from_counts(np.array([0, 1, 2, 3]), exact=True)
    Interval(estimate=2.0, low=2.0, high=2.0)
    """
    entropy = plug_in_entropy_bits(values)
    if exact:
        return Interval(entropy, entropy, entropy)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    bits = -np.log2(counts[inverse] / len(values))
    half = CONFIDENCE_FACTOR * float(bits.std()) / math.sqrt(len(values))
    corrected = entropy + (len(counts) - 1) / (2 * len(values) * math.log(2))
    return Interval(corrected, corrected - half, corrected + half)


def _images(settings: FactorsConfig, seed: int) -> tuple[np.ndarray, bool]:
    if sum(factor_bits(settings).values()) <= LARGEST_ENUMERATION_BITS:
        return enumerate_images(settings), True
    return draw(DRAWN_IMAGES, settings, np.random.default_rng([seed, 3])).images, False
