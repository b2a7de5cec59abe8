"""Code lengths: the bits per image that a fitted decoder needs, and where in the image it needs them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor

from decoders.fitting.batches import Minibatch, on_device, rows
from decoders.fitting.micro_batches import with_fitting_micro_batch
from decoders.precision import full_precision

if TYPE_CHECKING:
    from decoders import Decoder

__all__ = ["code_length_maps_bits", "code_lengths_and_mean_map_bits", "code_lengths_bits"]

Measured = TypeVar("Measured")


def code_lengths_bits(decoder: Decoder, minibatches: Iterable[Minibatch], null: bool = False) -> np.ndarray:
    """Code length -log2 q(x | h) of every image.

    Computed in evaluation mode where the decoder is, in the precision of its parameters, never in TF32. What does
    not fit on a GPU is computed in smaller parts. The decoder is left in the mode that it was in.

    Args:
        decoder: a conditional density model of images.
        minibatches: the images with their conditions.
        null: use the null condition instead of the conditions: -log2 q(x | null).

    Returns:
        float64, shape (N,), bits, in the order of the images.

    Raises:
        torch.OutOfMemoryError: not even one image fits on the GPU.
    """
    lengths = list(_measured(decoder, minibatches, null, _bits))
    return np.concatenate(lengths) if lengths else np.empty(0)


def code_lengths_and_mean_map_bits(
    decoder: Decoder, minibatches: Iterable[Minibatch], null: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Code lengths of all images, and the mean of their maps, from one pass through the network.

    A map says how many bits each channel of each pixel costs given all that come before it (chain rule in raster
    order, see `ImageDistribution.channel_log_prob`); its sum is the image's code length up to rounding.

    Args:
        decoder, minibatches, null: as for `code_lengths_bits`; at least one image.

    Returns:
        The code lengths, exactly those of `code_lengths_bits`, float64, shape (N,); and the mean map, float64, shape
        (C, H, W); in bits.

    Raises:
        ValueError: there is no image.
        torch.OutOfMemoryError: not even one image fits on the GPU.
    """
    lengths: list[np.ndarray] = []
    total: np.ndarray | None = None
    for bits, maps in _measured(decoder, minibatches, null, _bits_and_maps):
        lengths.append(bits)
        total = maps.sum(0) if total is None else total + maps.sum(0)
    if total is None:
        raise ValueError("There is no image whose code length could be mapped.")
    everything = np.concatenate(lengths)
    return everything, total / len(everything)


def code_length_maps_bits(decoder: Decoder, minibatches: Iterable[Minibatch], null: bool = False) -> np.ndarray:
    """The map of every image's code length (see `code_lengths_and_mean_map_bits`): float64, shape (N, C, H, W), bits.

    Args:
        decoder, minibatches, null: as for `code_lengths_bits`; at least one image.

    Raises:
        ValueError: there is no image.
        torch.OutOfMemoryError: not even one image fits on the GPU.
    """
    found = [maps for _, maps in _measured(decoder, minibatches, null, _bits_and_maps)]
    if not found:
        raise ValueError("There is no image whose code length could be mapped.")
    return np.concatenate(found)


def _measured(
    decoder: Decoder,
    minibatches: Iterable[Minibatch],
    null: bool,
    measure: Callable[[Decoder, Minibatch, int, torch.device], Measured],
) -> Iterator[Measured]:
    """What is measured of each minibatch that has images, in parts that fit in memory."""
    device = next(decoder.parameters()).device
    training = decoder.training
    decoder.eval()
    limit: int | None = None
    try:
        for minibatch in minibatches:
            if len(minibatch) == 0:
                continue
            unconditional = Minibatch(minibatch.images) if null else minibatch
            found, used = with_fitting_micro_batch(
                lambda size, batch=unconditional: measure(decoder, batch, size, device),  # type: ignore[misc]
                min(len(minibatch), limit or len(minibatch)),
            )
            if used < len(minibatch):
                limit = used
            yield found
    finally:
        decoder.train(training)


@full_precision()
@torch.inference_mode()
def _bits(decoder: Decoder, minibatch: Minibatch, micro_batch: int, device: torch.device) -> np.ndarray:
    parts = []
    for part in _parts(minibatch, micro_batch, device):
        parts.append(_in_bits(decoder(part.condition).log_prob(part.images)))
    return np.concatenate(parts)


@full_precision()
@torch.inference_mode()
def _bits_and_maps(
    decoder: Decoder, minibatch: Minibatch, micro_batch: int, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """Code lengths, (B,), and their maps, (B, C, H, W)."""
    lengths, maps = [], []
    for part in _parts(minibatch, micro_batch, device):
        log_prob, by_channel = decoder(part.condition).log_prob_with_channels(part.images)
        lengths.append(_in_bits(log_prob))
        maps.append(_in_bits(by_channel))
    return np.concatenate(lengths), np.concatenate(maps)


def _parts(minibatch: Minibatch, micro_batch: int, device: torch.device) -> Iterator[Minibatch]:
    for start in range(0, len(minibatch), micro_batch):
        yield on_device(rows(minibatch, start, start + micro_batch), device)


def _in_bits(log_prob: Tensor) -> np.ndarray:
    return -log_prob.double().cpu().numpy() / math.log(2)
