"""Small readers in float64 for the tests of this folder."""

from __future__ import annotations

import torch
from decoder_builders import CELLS, build
from torch import Tensor, nn

from decoders import Cell, ImageSpace, Reader, ReaderArchitecture

__all__ = ["OUTPUTS", "build_reader", "fitted_reader", "random_images", "shake"]

OUTPUTS = [("logistic_mixture", 1), ("logistic_mixture", 3), ("categorical", 1), ("categorical", 3)]
"""Every output distribution, in grey and in colour."""


def build_reader(
    image: ImageSpace,
    output: str = "logistic_mixture",
    cells: tuple[Cell, ...] = CELLS,
    seed: int = 0,
    own_blocks: int = 0,
    **base: object,
) -> Reader:
    """A new float64 reader in evaluation mode, on a base away from special points."""
    below = build(image, output, seed=seed, **base)
    torch.manual_seed(seed + 1)
    size = ReaderArchitecture(
        width=5, largest_width=8, blocks=1, coarse_blocks=1, causal_blocks=2, own_blocks=own_blocks
    )
    reader = Reader(below, size, cells).double().eval()
    reader.initialise(torch.randint(image.intensities, (8, image.channels, image.height, image.width)))
    return reader


def fitted_reader(
    image: ImageSpace,
    output: str = "logistic_mixture",
    cells: tuple[Cell, ...] = CELLS,
    seed: int = 0,
    own_blocks: int = 0,
    **base: object,
) -> Reader:
    """The same with its parameters moved away from those of a new one, so that it reads what it is given."""
    reader = build_reader(image, output, cells, seed, own_blocks, **base)
    shake(reader)
    return reader


@torch.no_grad()
def shake(module: nn.Module, by: float = 0.3) -> None:
    """Add noise to all parameters."""
    for parameter in module.parameters():
        parameter += by * torch.randn_like(parameter)


def random_images(image: ImageSpace, count: int) -> Tensor:
    """Images of a space, (count, C, H, W)."""
    return torch.randint(image.intensities, (count, image.channels, image.height, image.width))
