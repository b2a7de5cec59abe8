"""How many of the known bits of spike-ins a decoder finds."""

from __future__ import annotations

import numpy as np

from ib_analysis.information.estimates import usable_information
from ib_analysis.information.intervals import Bootstrap, Interval
from ib_analysis.information.tolerance import tolerance_bits

__all__ = ["recovered_fraction", "tolerance"]


def recovered_fraction(
    code_lengths: np.ndarray, with_coins: np.ndarray, spike_in_bits: float, bootstrap: Bootstrap | None = None
) -> Interval:
    """mean(L(x'|h) - L(x'|h, coins)) / m, the truth of which is 1.

    The m coins are fair, independent of each other and of (X, H), and all visible in the image X': so I(X'; coins | H)
    = H(coins | H) - H(coins | X', H) = m exactly. Both code lengths exceed their entropies, H(X'|H) and H(X'|H) - m,
    and the fraction is 1 where they do so by as much.

    Arguments:
        code_lengths: shape (N,): L(x'|h) of each evaluation image in bits.
        with_coins: shape (N,): L of the same images, given the coins too.
        spike_in_bits: m, above 0.

    Returns:
        The fraction with its interval, paired by image.

    Raises:
        ValueError: the arrays do not describe the same images.

    >>> recovered_fraction(np.array([9.0, 8.0, 7.0]), np.array([5.0, 4.0, 3.0]), 4).estimate
    1.0
    """
    found = usable_information(code_lengths, with_coins, bootstrap)
    return Interval(found.estimate / spike_in_bits, found.low / spike_in_bits, found.high / spike_in_bits)


def tolerance(spike_in_bits: float) -> float:
    """How far the fraction may lie from 1: 2 % or half a bit, whichever is more.

    >>> tolerance(16.0), tolerance(256.0)
    (0.03125, 0.02)
    """
    return tolerance_bits(spike_in_bits) / spike_in_bits
