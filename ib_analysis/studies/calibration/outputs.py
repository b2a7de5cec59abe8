"""The outputs of known channels in the place of a network's activations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ib_analysis.activations import Groups
from ib_analysis.artifacts import sha256_of_plain
from ib_analysis.studies.calibration.channels import CHANNELS, Received, channel_of

__all__ = ["Cell", "ChannelOutputs"]

Cell = tuple[int, str]
"""(parameter of the channel in thousandths, name of the channel): where an experiment has (epoch, layer)."""


class ChannelOutputs:
    """What known channels let through of an image's symbols, as `ib_analysis.activations.Activations`.

    Coins become a map of the same shape with -1 and +1, and 0 where one was erased; other symbols a vector of their
    one-hot codes, all zero where one was erased. The channel's noise is drawn once per image and cell: like the
    activations of a network, H does not change from one reading to the next.

    Arguments:
        symbols: shape (N, *S), uint8, in the order of decoder and evaluation images.
        levels: number of values of each symbol, shape S.
        cells: the channels.
        groups: which images are read together.
        seed: of the channels' noise.
    """

    def __init__(
        self, symbols: np.ndarray, levels: np.ndarray, cells: Sequence[Cell], groups: Groups, seed: int
    ) -> None:
        self.symbols, self.levels, self.groups, self.seed = symbols, levels, groups, seed
        self.epochs = tuple(sorted({parameter for parameter, _ in cells}))
        self.layers = tuple(dict.fromkeys(kind for _, kind in cells))
        self._codes = {kind: int(sha256_of_plain(kind)[:8], 16) for kind in CHANNELS}

    def shape(self, layer: str) -> tuple[int, ...]:
        """Shape of one image's output: that of the coins, or (sum of levels,)."""
        return self.levels.shape if self.levels.ndim == 3 else (int(self.levels.sum()),)

    def read(self, epoch: int, layer: str, group: int) -> Tensor:
        """Outputs of the images of a group: shape (n, *shape), float16.

        Arguments:
            epoch: the channel's parameter in thousandths.
            layer: the channel's name.
        """
        received = self._received(epoch, layer, group)
        if self.levels.ndim == 3:
            values = np.where(received.erased, 0, 2 * received.symbols.astype(np.int8) - 1)
        else:
            parts = [
                (received.symbols[:, k, None] == np.arange(count)) & ~received.erased[:, k, None]
                for k, count in enumerate(self.levels)
            ]
            values = np.concatenate(parts, axis=1)
        return torch.from_numpy(values.astype(np.float16))

    def information_bits(self, epoch: int, layer: str, group: int) -> np.ndarray:
        """Information density of the images of a group, shape (n,): its mean over all images is I(X; H)."""
        return self._received(epoch, layer, group).information_bits

    def _received(self, parameter: int, kind: str, group: int) -> Received:
        start, stop = self.groups.bounds[group]
        rng = np.random.default_rng([self.seed, self._codes[kind], parameter, group])  # type: ignore[index]
        return channel_of(kind, parameter).transmit(self.symbols[start:stop], self.levels, rng)
