"""What a user chooses about a network of dense cells: the config key ``encoder.dense``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ib_analysis.artifacts import UserError

__all__ = ["CONVOLUTIONS", "NORMALISATIONS", "CellConvolution", "CellNormalisation", "DenseNetworkConfig"]

CellNormalisation = Literal["bn_relu", "bn", "identity"]
CellConvolution = Literal["1x1", "3x3", "1x1_group", "3x3_group", "1x1_learned_group", "3x3_depthwise"]
NORMALISATIONS: tuple[CellNormalisation, ...] = get_args(CellNormalisation)
"""What may stand before a convolution of a cell (Dong et al. 2018, arXiv 1806.08198)."""
CONVOLUTIONS: tuple[CellConvolution, ...] = get_args(CellConvolution)
"""The convolutions of a cell (the same)."""


@dataclass(frozen=True)
class DenseNetworkConfig:
    """What the architecture `dense` has beside `width`: cells of layers, each a normalisation and a convolution.

    Raises:
        UserError: lists of different lengths, an unknown operation, or a number that is too small or not divisible.
    """

    normalisations: tuple[CellNormalisation, ...] = ("bn_relu", "bn_relu", "bn_relu")
    """What stands before the convolution of each layer of the cell."""

    convolutions: tuple[CellConvolution, ...] = ("1x1", "3x3_group", "3x3_depthwise")
    """The convolution of each layer. `3x3_depthwise` is followed by a 1x1 convolution to `growth` channels;
    `1x1_learned_group` loses all but 1/`groups` of its inputs during the first half of the training."""

    growth: int = 8
    """Channels that each layer adds in the first stage; twice and four times as many in the others (Huang et al. 2018,
    CondenseNet, arXiv 1711.09224)."""

    groups: int = 4
    """Groups of the grouped convolutions, and the condensation factor of learned ones; divides `width` and `growth`."""

    cells: int = 1
    """Equal cells, one after another, in each of the three stages."""

    def __post_init__(self) -> None:
        if not self.normalisations or len(self.normalisations) != len(self.convolutions):
            raise UserError(
                f"encoder.dense has {len(self.normalisations)} normalisations and {len(self.convolutions)} "
                "convolutions; a cell needs one of each per layer, and at least one layer."
            )
        for name, known in (("normalisations", NORMALISATIONS), ("convolutions", CONVOLUTIONS)):
            for found in getattr(self, name):
                if found not in known:
                    raise UserError(f"encoder.dense.{name} has {found!r}; choose from {', '.join(known)}.")
        for name in ("growth", "groups", "cells"):
            if getattr(self, name) < 1:
                raise UserError(f"encoder.dense.{name} is {getattr(self, name)}; it must be at least 1.")
        if self.growth % self.groups:
            raise UserError(
                f"encoder.dense.growth is {self.growth}, which {self.groups} groups (encoder.dense.groups) do not "
                "divide; choose numbers that do."
            )
