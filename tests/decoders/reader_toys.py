"""Images whose bits are known, activations that tell all of them or none, and a base that is right: oracles of fits."""

from __future__ import annotations

import numpy as np
import torch

from decoders import Architecture, Cell, Condition, ImageSpace, Minibatch, PixelCNNPP, PixelCNNPPConfig, Reader
from decoders.config import ReaderArchitecture

__all__ = ["BITS", "NOTHING", "TELLING", "IndependentImages", "toy_reader"]

IMAGE = ImageSpace(channels=1, height=4, width=4, intensities=4)
TELLING = Cell("epoch_0010/h3", "h3", (1, 4, 4))
NOTHING = Cell("epoch_0000/h4", "h4", (6,))
BITS = 32.0
"""Of an image: sixteen independent pixels of four intensities, all alike."""


class IndependentImages:
    """Fresh images in every minibatch, so that nothing can be learned by heart; two cells, half of the images each."""

    def __init__(self, batch_size: int = 24) -> None:
        self.batch_size = batch_size

    def minibatch(self, rng: np.random.Generator) -> Minibatch:
        pixels = rng.integers(4, size=(self.batch_size, 1, 4, 4))
        half, kind = self.batch_size // 2, torch.get_default_dtype()
        told = torch.tensor(pixels[:half] - 1.5, dtype=kind)
        noise = torch.tensor(rng.normal(size=(self.batch_size - half, 6)), dtype=kind)
        conditions = (Condition(told, TELLING.name), Condition(noise, NOTHING.name))
        return Minibatch(torch.tensor(pixels, dtype=torch.uint8), conditions)

    def validation(self) -> list[Minibatch]:
        return [self.minibatch(np.random.default_rng((99, index))) for index in range(3)]


def toy_reader(own_share: float = 0.3, dropout: float = 0.0) -> Reader:
    """A new reader on the true base: all intensities alike."""
    torch.manual_seed(0)
    architecture = Architecture(blocks=1, filters=4, output="categorical", dropout=0.3)
    base = PixelCNNPP(PixelCNNPPConfig(IMAGE, architecture))
    with torch.no_grad():
        base.readout.gain.zero_()
        base.readout.bias.zero_()
    size = ReaderArchitecture(width=8, blocks=1, coarse_blocks=1, causal_blocks=1, own_share=own_share, dropout=dropout)
    return Reader(base, size, (TELLING, NOTHING))
