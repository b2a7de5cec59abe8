"""The one building block that a binary network is made of: code, product of signs, normalisation, shortcut, activation.

A reconstruction in the spirit of Redfern, Zhu & Newquist 2021 (BCNN, arXiv 2010.00704), whose text could not be read:
what is known of it is that all products, the first one included, are binary and of one building block. The parts are
those of its public relatives: shifts around the sign and around a PReLU from ReActNet (Liu et al. 2020, arXiv
2003.03488), a shortcut around every convolution from Bi-Real net (Liu et al. 2018, arXiv 1808.00278), shortcuts without
real products from FracBNN (Zhang et al. 2021, arXiv 2012.12206).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ib_analysis.binary.phase import HasPhase, Phase
from ib_analysis.binary.products import BinaryConv2d, BinaryLinear, BinaryProduct
from ib_analysis.binary.signs import approximate_sign, sign

__all__ = ["BinaryBlock", "Code", "PooledCopies", "ShiftedPReLU", "folded"]


class Code(HasPhase):
    """From real numbers to signs: sign(x + shift) with a learned shift per channel; in a twin, `approximate_sign`.

    Arguments:
        channels: of the input, (B, C) or (B, C, H, W).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        shifted = x + _per_channel(self.shift, x)
        return approximate_sign(shifted) if self.phase == Phase.REAL else sign(shifted)

    @property
    def active(self) -> bool:
        """Whether the outputs are signs."""
        return self.phase != Phase.REAL

    @staticmethod
    def codes(signs: Tensor) -> Tensor:
        """Signs as codes of one bit: 0 for -1, 1 for +1; dtype and shape stay."""
        return (signs > 0).to(signs.dtype)


class ShiftedPReLU(nn.Module):
    """PReLU(x + before) + after, all learned per channel (RPReLU of ReActNet)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before = nn.Parameter(torch.zeros(channels))
        self.slope = nn.Parameter(torch.full((channels,), 0.25))
        self.after = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.prelu(x + _per_channel(self.before, x), self.slope) + _per_channel(self.after, x)


class PooledCopies(nn.Module):
    """A shortcut to half the size without a product: means of 2x2 pixels, channels repeated (FracBNN).

    Arguments:
        out_channels: at least as many as there are.
    """

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Arguments: x: shape (B, C, H, W). Returns: shape (B, out_channels, ceil(H/2), ceil(W/2))."""
        pooled = F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)
        copies = -(-self.out_channels // x.shape[1])
        return torch.cat([pooled] * copies, dim=1)[:, : self.out_channels]


class BinaryBlock(nn.Module):
    """activation(normalisation(product(code(x))) + shortcut(x)), the product averaged over positions if asked for.

    Arguments:
        product: a `BinaryConv2d` or `BinaryLinear`.
        code: makes signs of the input; None: it is signs already.
        shortcut: what is added of the input; None: nothing.
        activation: whether a `ShiftedPReLU` ends the block.
        averaged: whether a map is averaged over its positions before it is normalised: (B, C, h, w) becomes (B, C).

    >>> block = BinaryBlock(BinaryConv2d(4, 4), Code(4), nn.Identity(), activation=True)
    >>> block(torch.randn(2, 4, 5, 5)).shape
    torch.Size([2, 4, 5, 5])
    """

    def __init__(
        self,
        product: BinaryConv2d | BinaryLinear,
        code: Code | None = None,
        shortcut: nn.Module | None = None,
        *,
        activation: bool,
        averaged: bool = False,
    ) -> None:
        super().__init__()
        self.code: nn.Module = code or nn.Identity()
        self.product, self.averaged = product, averaged
        outputs = len(product.weight)
        is_map = isinstance(product, BinaryConv2d) and not averaged
        self.norm: nn.modules.batchnorm._BatchNorm = nn.BatchNorm2d(outputs) if is_map else nn.BatchNorm1d(outputs)
        self.shortcut = shortcut
        self.activation: nn.Module = ShiftedPReLU(outputs) if activation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.product(self.code(x))
        y = self.norm(y.mean(dim=(2, 3)) if self.averaged else y)
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        return self.activation(y)


def folded(block: BinaryBlock) -> tuple[Tensor, Tensor]:
    """Scale and shift per output that a block's whole-numbered product takes in evaluation mode: mean|w| and the batch
    normalisation in one.

    Returns:
        (scale, shift), each (outputs,): normalisation(product) = scale * <signs, signs> + shift.

    Raises:
        ValueError: the block's weights are real now.
    """
    assert isinstance(block.product, BinaryProduct)
    worth, norm = block.product.scale(), block.norm
    if worth is None:
        raise ValueError("a block folds only where its weights are binary")
    assert norm.running_var is not None
    assert norm.running_mean is not None
    gain = norm.weight.detach() / (norm.running_var + norm.eps).sqrt()
    return worth * gain, norm.bias.detach() - norm.running_mean * gain


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (x.ndim - 2))
