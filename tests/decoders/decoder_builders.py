"""Small decoders and conditions in float64 for the tests of this folder."""

from __future__ import annotations

from itertools import product

import torch

from decoders import Architecture, Cell, Condition, ImageSpace, PixelCNNPP, PixelCNNPPConfig

__all__ = ["CELLS", "all_images", "build", "conditions"]

CELLS = (Cell("early/map", "map", (3, 2, 2)), Cell("late/map", "map", (3, 2, 2)), Cell("late/vector", "vector", (4,)))


def build(
    image: ImageSpace,
    output: str = "logistic_mixture",
    cells: tuple[Cell, ...] = (),
    seed: int = 0,
    **options: object,
) -> PixelCNNPP:
    """A float64 decoder in evaluation mode, initialised from data and moved away from special points."""
    torch.manual_seed(seed)
    settings = {"blocks": 1, "filters": 6, "components": 3, "condition_filters": 4, **options}
    decoder = PixelCNNPP(PixelCNNPPConfig(image, Architecture(output=output, **settings), cells)).double().eval()
    decoder.initialise(torch.randint(image.intensities, (16, image.channels, image.height, image.width)))
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return decoder


def conditions(cells: tuple[Cell, ...], each: int = 2) -> list[Condition]:
    """Random activations, `each` images of every cell."""
    return [Condition(torch.randn(each, *cell.shape, dtype=torch.float64), cell.name) for cell in cells]


def all_images(image: ImageSpace) -> torch.Tensor:
    """Every image of a tiny space, (N, C, H, W)."""
    values = product(range(image.intensities), repeat=image.channels * image.height * image.width)
    return torch.tensor(list(values)).view(-1, image.channels, image.height, image.width)
