"""What one decoder costs an image: FLOPs counted and seconds timed, before any is fitted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from decoders import Condition, Decoder, ImageSpace, PixelCNNPP, PixelCNNPPConfig, Reader
from decoders.config import Architecture, ReaderArchitecture
from ib_analysis.data import Space
from ib_analysis.experiment import BASE, Experiment
from ib_analysis.records.decoders import network_of

__all__ = ["DecoderCost", "cost_of_decoders", "decoder_flops", "seconds_of", "time_decoder", "untrained"]

FLOPS_OF_A_TRIAL = 2 * 10**9
"""Forward operations of a timed minibatch on a CPU, at the most: about a second with its backward pass."""


def untrained(network: PixelCNNPPConfig, size: Architecture | ReaderArchitecture, looks_up: bool) -> Decoder:
    """A decoder with random weights, to be counted and timed; a reader's base need not exist.

    Arguments:
        network: images and cells, and the architecture of a decoder that is no reader, or of a reader's base.
        size: tells whether it is a reader.
        looks_up: whether a reader finds the base's features, instead of computing them.
    """
    if isinstance(size, Architecture):
        return PixelCNNPP(network)
    reader = Reader(PixelCNNPP(PixelCNNPPConfig(network.image, network.architecture)), size, network.cells)
    if looks_up:
        shape = (network.architecture.filters, network.image.height, network.image.width)
        reader.stored = lambda x: torch.zeros(len(x), *shape, dtype=torch.float16, device=x.device)
    return reader


def decoder_flops(decoder: Decoder, cell: int = 0) -> int:
    """FLOPs of one image's code length, by torch's own counter.

    Arguments:
        cell: place among the decoder's cells of the one whose activations are given.
    """
    device = next(decoder.parameters()).device
    images, condition = _batch(decoder, 1, device, cell)
    with FlopCounterMode(display=False) as counter:
        decoder(condition).log_prob(images)
    return counter.get_total_flops()


def time_decoder(decoder: Decoder, flops_per_image: int, device: torch.device, cell: int = 0) -> tuple[float, float]:
    """Seconds per image of a training step and of a forward pass, from one small minibatch each."""
    # As many as in a fit where that is affordable: a single image may cost several times as much as one of many.
    affordable = FLOPS_OF_A_TRIAL // max(flops_per_image, 1)
    count = 32 if device.type == "cuda" else max(1, min(32, affordable))
    images, condition = _batch(decoder, count, device, cell)

    def step() -> None:
        (-decoder(condition).log_prob(images).mean()).backward()

    def forward() -> None:
        with torch.no_grad():
            decoder(condition).log_prob(images)

    return seconds_of(step, device) / count, seconds_of(forward, device) / count


def _batch(decoder: Decoder, count: int, device: torch.device | str, cell: int = 0) -> tuple[Tensor, Condition | None]:
    image = decoder.config.image
    images = torch.zeros(count, image.channels, image.height, image.width, dtype=torch.uint8, device=device)
    if not decoder.config.cells:
        return images, None
    chosen = decoder.config.cells[cell]
    return images, Condition(torch.zeros(count, *chosen.shape, device=device), chosen.name)


def seconds_of(work: Callable[[], None], device: torch.device) -> float:
    """The quickest of a few calls: the first pays for what is done once, and others may share the machine."""
    taken: list[float] = []
    while len(taken) < 2 or (len(taken) < 6 and sum(taken) < 2.0):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return min(taken)


@dataclass(frozen=True)
class DecoderCost:
    """Of one decoder, or the mean over those of an experiment."""

    parameters: float
    flops: float
    step_seconds: float
    forward_seconds: float


def cost_of_decoders(
    experiment: Experiment, space: Space, shapes: dict[str, tuple[int, ...]], device: torch.device
) -> DecoderCost:
    """Of a gated decoder, whichever its cells are; of readers, which differ by layer, the mean over the layers."""
    image = ImageSpace(*space.image_shape, space.intensities)
    looks_up = experiment.config.activations.mode == "dump"
    conditional = [fit for fit in experiment.fits if fit.key != BASE]
    chosen = [(conditional[-1], 0)]
    if experiment.has_base:
        chosen = []
        for layer in experiment.layers:
            fit = next(fit for fit in conditional if any(name == layer for _, name in fit.cells))
            chosen.append((fit, [name for _, name in fit.cells].index(layer)))
    found = []
    for fit, cell in chosen:
        network, size = network_of(experiment, fit, image, shapes, whole=True), experiment.decoder_size_for(fit)
        decoder = untrained(network, size, looks_up).to(device)
        flops = decoder_flops(decoder, cell)
        parameters = sum(tensor.numel() for tensor in decoder.parameters())
        found.append((parameters, flops, *time_decoder(decoder, flops, device, cell)))
    return DecoderCost(*(sum(column) / len(found) for column in zip(*found, strict=True)))
