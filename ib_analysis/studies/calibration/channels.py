"""Noisy channels of known capacity: what they let through of independent uniform symbols, exactly.

For independent uniform symbols S with k values each, sent through a channel symbol by symbol,

    erasure channel, rate e:              I(S; H) = (1 - e) sum log2 k          (Cover & Thomas 2006, section 7.1.5)
    binary symmetric channel, flips p:    I(S; H) = m (1 - h2(p)), k = 2        (ibid., section 7.1.4)

with h2 the binary entropy. The *information density* log2 p(h | s) / p(h) of one image has I(S; H) as its mean: that of
the erasure channel is the entropy of the symbols that arrived.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import xlogy

__all__ = ["CHANNELS", "BinarySymmetric", "Channel", "Erasure", "Received", "channel_of"]

ChannelName = Literal["erasure", "flip"]


@dataclass(frozen=True)
class Received:
    """What came out of a channel.

    Arguments:
        symbols: shape (N, ...): the symbols as they arrived, with any value where erased.
        erased: shape (N, ...), bool.
        information_bits: shape (N,): information density of each image.
    """

    symbols: np.ndarray
    erased: np.ndarray
    information_bits: np.ndarray


@dataclass(frozen=True)
class Erasure:
    """Each symbol is lost with probability `rate`, and the receiver knows which.

    >>> Erasure(0.25).mutual_information_bits(np.array([2, 2, 4]))
    3.0
    """

    rate: float

    def mutual_information_bits(self, levels: np.ndarray) -> float:
        """I(S; H) of symbols with so many values each: any shape."""
        return (1 - self.rate) * float(np.log2(levels).sum())

    def transmit(self, symbols: np.ndarray, levels: np.ndarray, rng: np.random.Generator) -> Received:
        """Send symbols of shape (N, *S); levels has shape S."""
        erased = rng.random(symbols.shape) < self.rate
        arrived = np.where(erased, 0.0, np.log2(levels))
        return Received(symbols, erased, arrived.reshape(len(symbols), -1).sum(1))


@dataclass(frozen=True)
class BinarySymmetric:
    """Each coin is turned over with probability `probability`, and the receiver does not know which.

    >>> BinarySymmetric(0.5).mutual_information_bits(np.array([2, 2]))
    0.0
    """

    probability: float

    def mutual_information_bits(self, levels: np.ndarray) -> float:
        """I(S; H) of coins: any shape.

        Raises:
            ValueError: a symbol is no coin.
        """
        _only_coins(levels)
        p = self.probability
        entropy = -float(xlogy(p, p) + xlogy(1 - p, 1 - p)) / np.log(2)
        return float(levels.size * (1 - entropy))

    def transmit(self, symbols: np.ndarray, levels: np.ndarray, rng: np.random.Generator) -> Received:
        """Send coins of shape (N, *S); levels has shape S.

        Raises:
            ValueError: a symbol is no coin.
        """
        _only_coins(levels)
        p = self.probability
        turned = rng.random(symbols.shape) < p
        count = turned.reshape(len(symbols), -1).sum(1)
        # log2 of p(h | s) / p(h) with p(h) = 2^-m; xlogy(0, 0) is 0, as it must be at p = 0 and 1.
        density = levels.size + (xlogy(count, p) + xlogy(levels.size - count, 1 - p)) / np.log(2)
        return Received(symbols ^ turned, np.zeros(symbols.shape, dtype=bool), density)


Channel = Erasure | BinarySymmetric

CHANNELS: dict[ChannelName, type[Erasure] | type[BinarySymmetric]] = {"erasure": Erasure, "flip": BinarySymmetric}


def channel_of(kind: str, thousandths: int) -> Channel:
    """A channel by its name and its parameter in thousandths.

    >>> channel_of("erasure", 250)
    Erasure(rate=0.25)
    """
    for name, channel in CHANNELS.items():
        if name == kind:
            return channel(thousandths / 1000)
    raise ValueError(f"there is no channel {kind!r}; there are {', '.join(CHANNELS)}.")


def _only_coins(levels: np.ndarray) -> None:
    if not (levels == 2).all():
        raise ValueError("the binary symmetric channel takes coins only, symbols with two values.")
