"""An entropy code per channel, the simplest code for a layer of integers that is fitted to data."""

from __future__ import annotations

import numpy as np

__all__ = ["ChannelCode"]


class ChannelCode:
    """Codes every unit by itself, with the distribution that its channel's codes have on the fitting images.

    The distribution is the one of Krichevsky & Trofimov (1981): (count + 1/2) / (total + levels/2), so that no value is
    impossible. The mean code length of other images bounds the entropy of the layer from above, and so I(X;H) of a
    deterministic layer, whatever dependence between its units is left unused.

    Arguments:
        channels: of the layer.
        bits: of a code; values are 0 to 2^bits - 1.

    >>> code = ChannelCode(channels=1, bits=1)
    >>> code.count(np.array([[0, 1, 1, 1]]).reshape(4, 1))
    >>> code.code_lengths_bits(np.array([[1], [0]])).round(3).tolist()
    [0.515, 1.737]
    """

    def __init__(self, channels: int, bits: int) -> None:
        self.counts = np.zeros((channels, 2**bits), dtype=np.int64)

    def count(self, codes: np.ndarray) -> None:
        """Take images into the fit.

        Arguments:
            codes: integers, shape (n, C, ...).
        """
        channels, levels = self.counts.shape
        offset = np.arange(channels).reshape(1, channels, *[1] * (codes.ndim - 2)) * levels
        found = np.bincount((codes.astype(np.int64) + offset).ravel(), minlength=self.counts.size)
        self.counts += found.reshape(self.counts.shape)

    def code_lengths_bits(self, codes: np.ndarray) -> np.ndarray:
        """Code length of every image in bits, shape (n,).

        Arguments:
            codes: integers, shape (n, C, ...).
        """
        channels, levels = self.counts.shape
        shares = (self.counts + 0.5) / (self.counts.sum(1, keepdims=True) + levels / 2)
        bits = -np.log2(shares)
        planes = codes.reshape(len(codes), channels, -1).astype(np.int64)
        return bits[np.arange(channels)[:, None], planes].sum((1, 2))
