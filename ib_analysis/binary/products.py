"""The two products of a binary network, convolution and dense, of operands in {-1, +1}.

A network learns real weights w and multiplies by sign(w). The scale mean|w| per output (Rastegari et al. 2016,
XNOR-Net, arXiv 1603.05279) is multiplied into the *result*, which is a whole number: it folds into the batch
normalisation behind (`ib_analysis.binary.block.folded`), and the operands stay signs.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ib_analysis.binary.phase import HasPhase, Phase
from ib_analysis.binary.signs import sign_of_weights

__all__ = ["BinaryConv2d", "BinaryLinear", "BinaryProduct"]


class BinaryProduct(HasPhase):
    """What both products share. In the phases `REAL` and `SIGNS` the weights are used as they are."""

    weight: Tensor

    def operand(self) -> Tensor:
        """The right operand, of the weight's shape: signs in the phase `BINARY`."""
        return sign_of_weights(self.weight) if self.phase == Phase.BINARY else self.weight

    def scale(self) -> Tensor | None:
        """What one unit of the product is worth in each output, (outputs,): mean|w|, which gives no gradient.

        None where weights are real.
        """
        return self.weight.detach().abs().flatten(1).mean(1) if self.phase == Phase.BINARY else None

    def _scaled(self, product: Tensor) -> Tensor:
        scale = self.scale()
        return product if scale is None else product * scale.view(1, -1, *[1] * (product.ndim - 2))


class BinaryConv2d(BinaryProduct, nn.Conv2d):
    """A convolution without bias that pads with a sign, as zeros would be a third value.

    Arguments:
        in_channels, out_channels, kernel_size, stride: as of `nn.Conv2d`; the size is kept up to the stride.
        padding_sign: +1 or -1, what stands around the image.

    >>> import torch
    >>> from ib_analysis.binary.phase import set_phase
    >>> layer = set_phase(BinaryConv2d(1, 1, padding_sign=-1), Phase.BINARY)
    >>> _ = layer.weight.data.fill_(0.5)
    >>> (layer(torch.ones(1, 1, 3, 3)) / 0.5).flatten().tolist()  # sums of 9 signs, those outside are -1
    [-1.0, 3.0, -1.0, 3.0, 9.0, 3.0, -1.0, 3.0, -1.0]
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, padding_sign: int = -1
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, bias=False)
        self.margin, self.padding_sign = kernel_size // 2, padding_sign

    def forward(self, x: Tensor) -> Tensor:
        """Arguments: x: shape (B, C, H, W), signs but for the twin. Returns: shape (B, outputs, h, w)."""
        padded = F.pad(x, (self.margin,) * 4, value=float(self.padding_sign)) if self.margin else x
        return self._scaled(F.conv2d(padded, self.operand(), stride=self.stride))


class BinaryLinear(BinaryProduct, nn.Linear):
    """A dense layer without bias.

    Arguments:
        in_features, out_features: of the product.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Arguments: x: shape (B, inputs), signs but for the twin. Returns: shape (B, outputs)."""
        return self._scaled(F.linear(x, self.operand()))
