"""The generalized residual layer of ResNet in ResNet (Targ et al. 2016, arXiv 1603.08029, equation 1), in both forms.

A map of 2w channels holds two streams of w channels each: the residual stream r, then the transient stream t. Before
batch normalisation and ReLU a layer gives

    r' = W_rr * r + W_tr * t + shortcut(r)
    t' = W_rt * r + W_tt * t

with 3x3 convolutions W. Without t it is a residual layer of one convolution, without r a layer of a plain network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ib_analysis.artifacts import UserError
from ib_analysis.encoders.config import Form, Shortcut
from ib_analysis.encoders.resnet import PaddedIdentity, convolution

__all__ = [
    "STREAMS",
    "FourConvolutions",
    "OneConvolution",
    "generalized_layer",
    "partial_identity",
    "split_width",
    "streams_of",
]

STREAMS = ("residual", "transient")
"""Names of the streams, in the order in which their channels lie."""


def split_width(channels: int) -> int:
    """Channels of one of the two streams.

    Raises:
        UserError: the channels cannot be halved.

    >>> split_width(96)
    48
    """
    if channels % len(STREAMS):
        raise UserError(
            f"{channels} channels cannot be split into a residual and a transient stream of equal width; choose an "
            "even encoder.width."
        )
    return channels // len(STREAMS)


def streams_of(x: Tensor) -> tuple[Tensor, Tensor]:
    """The residual and the transient stream of a state.

    Arguments:
        x: shape (B, 2w, ...).

    Returns:
        Two views of shape (B, w, ...).
    """
    residual, transient = x.chunk(len(STREAMS), dim=1)
    return residual, transient


def partial_identity(in_channels: int, out_channels: int) -> Tensor:
    """The 3x3 kernel that hands the residual stream on and gives nothing to the transient one.

    With stride 2 it takes every second pixel. Where the streams widen, their new channels get nothing; where they
    narrow, the first ones are kept: what `PaddedIdentity` does beside four convolutions.

    Arguments:
        in_channels, out_channels: of both streams together.

    Returns:
        Shape (out_channels, in_channels, 3, 3), zeros and ones.
    """
    kernel = torch.zeros(out_channels, in_channels, 3, 3)
    kept = torch.arange(min(split_width(in_channels), split_width(out_channels)))
    kernel[kept, kept, 1, 1] = 1
    return kernel


class FourConvolutions(nn.Module):
    """A generalized residual layer written out: a convolution from each stream to each.

    Arguments:
        in_channels, out_channels: of both streams together.
        stride: of the convolutions and of the shortcut.
        shortcut: at a change of shape, A is the padded identity and B a 1x1 convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        inner, outer = split_width(in_channels), split_width(out_channels)
        self.residual_to_residual = convolution(inner, outer, stride=stride)
        self.transient_to_residual = convolution(inner, outer, stride=stride)
        self.residual_to_transient = convolution(inner, outer, stride=stride)
        self.transient_to_transient = convolution(inner, outer, stride=stride)
        # Modules, also where nothing is to be done: who watches the network sees that real numbers pass here.
        self.shortcut: nn.Module = nn.Identity()
        if (inner, stride) != (outer, 1):
            self.shortcut = (
                PaddedIdentity(outer - inner, stride)
                if shortcut == "A"
                else convolution(inner, outer, kernel_size=1, stride=stride)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Arguments: x: shape (B, in_channels, H, W). Returns: (B, out_channels, h, w), before normalisation."""
        r, t = streams_of(x)
        residual = self.residual_to_residual(r) + self.transient_to_residual(t) + self.shortcut(r)
        return torch.cat([residual, self.residual_to_transient(r) + self.transient_to_transient(t)], dim=1)

    @torch.no_grad()
    def finish_initialisation(self) -> None:
        """Bring weights that were drawn for the inputs of one stream to those of both, which are summed.

        He et al.'s variance is 2 / fan_in, and what a channel sums over is twice what one convolution sees: the
        four then start as the one convolution does.
        """
        for module in self.children():
            if isinstance(module, nn.Conv2d) and module is not self.shortcut:
                module.weight.mul_(math.sqrt(1 / len(STREAMS)))


class OneConvolution(nn.Conv2d):
    """The same layer as one convolution, whose weight starts with a partial identity added: "ResNet Init".

    The weight holds the identity from then on, and is trained like any other. Only L2 has to know of it: what it
    shrinks is what was learned beside the identity, as the shortcut of the other form is not shrunk either.

    Arguments:
        in_channels, out_channels: of both streams together.
        stride: of the convolution, and so of the identity.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(in_channels, out_channels, 3, stride, padding=1, bias=False)
        split_width(in_channels), split_width(out_channels)

    @torch.no_grad()
    def finish_initialisation(self) -> None:
        """Add the identity to freshly drawn weights."""
        self.weight.add_(self._identity())

    def decay_origins(self) -> Mapping[str, Tensor]:
        """See `ib_analysis.encoders.interface.HasDecayOrigins`."""
        return {"weight": self._identity()}

    def _identity(self) -> Tensor:
        return partial_identity(self.in_channels, self.out_channels).to(self.weight)


def generalized_layer(in_channels: int, out_channels: int, stride: int, shortcut: Shortcut, form: Form) -> nn.Module:
    """A generalized residual layer in one of its forms, without normalisation and ReLU.

    Raises:
        UserError: widths that cannot be split, or one convolution with projections.
    """
    if form == "four_convolutions":
        return FourConvolutions(in_channels, out_channels, stride, shortcut)
    if shortcut == "B":
        raise UserError(
            "encoder.form one_convolution has its shortcut within the weights, as an identity, and does not go with "
            "projections; choose --encoder.shortcut identity, or --encoder.form four_convolutions."
        )
    return OneConvolution(in_channels, out_channels, stride)
