"""From integer pixels to signs, so that the first product of a network is binary too."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["InputCode"]


class InputCode(nn.Module):
    """A fixed code of every pixel by signs, one channel each; nothing is learned.

    `thermometer`: sign k says whether the pixel reaches threshold k; thresholds are equally spaced (Zhang et al. 2021,
    FracBNN, arXiv 2012.12206: 32 of them). With ``intensities - 1`` thresholds it loses nothing.
    `bit_planes`: the binary digits of the pixel, the highest first; it loses nothing.

    Arguments:
        kind: which code.
        channels: of the images.
        intensities: number of levels of a pixel, 2..256.
        levels: thresholds of a thermometer code; more than ``intensities - 1`` are none that tell more, and left out.

    Attributes:
        out_channels: channels of the code.

    >>> pixels = torch.tensor([[[[0, 1, 3]]]])
    >>> InputCode("thermometer", channels=1, intensities=4, levels=32)(pixels)[0, :, 0].T.tolist()
    [[-1.0, -1.0, -1.0], [1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]
    >>> InputCode("bit_planes", channels=1, intensities=4)(torch.tensor([[[[2]]]])).flatten().tolist()
    [1.0, -1.0]
    """

    thresholds: Tensor
    one: Tensor

    def __init__(
        self, kind: Literal["thermometer", "bit_planes"], channels: int, intensities: int, levels: int = 32
    ) -> None:
        super().__init__()
        self.kind = kind
        if kind == "thermometer":
            levels = min(levels, intensities - 1)
            # Whole numbers: a pixel that reaches the threshold is compared exactly.
            values = -(-torch.arange(1, levels + 1) * intensities // (levels + 1))
        else:
            values = 2 ** torch.arange((intensities - 1).bit_length() - 1, -1, -1)
        self.register_buffer("thresholds", values.to(torch.int32), persistent=False)
        self.register_buffer("one", torch.ones(()), persistent=False)  # of the network's dtype
        self.out_channels = channels * len(values)

    def forward(self, images: Tensor) -> Tensor:
        """Arguments: images: shape (B, C, H, W), integers. Returns: shape (B, C x levels, H, W), signs."""
        pixels, values = images.to(torch.int32).unsqueeze(2), self.thresholds.view(-1, 1, 1)
        is_one = pixels >= values if self.kind == "thermometer" else (pixels & values) != 0
        return torch.where(is_one, self.one, -self.one).flatten(1, 2)
