"""Options of spike-ins; how many coins there are is the experiment's own `spike_in`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ib_analysis.artifacts import UserError
from ib_analysis.spike_ins.coins import Coins, ShownAs

__all__ = ["SpikeInConfig"]


@dataclass(frozen=True)
class SpikeInConfig:
    """How the coins of `spike_in` are shown to the decoder, and hidden in activations.

    Raises:
        UserError: a negative seed.
    """

    shown_as: ShownAs = "extremes"
    """`extremes`: a coin's pixel is 0 or the largest intensity, in all channels. `least_significant_bit`: the coin
    replaces the lowest bit of the pixel, in all channels; that is a test of the output distribution, which has to tell
    neighbouring intensities apart."""
    mixing: Literal["local", "global"] = "local"
    """How coins are mixed into activations. `local`: every position of a tap gets the coins of the part of the image
    that it covers, mixed over its channels by one orthogonal matrix, as a convolution would; vectors get all coins.
    `global`: all coins are mixed over all units."""
    redraw: bool = True
    """Whether the coins of the training images fall anew each time an image is drawn. Coins that stay are learned by
    heart with the images, more so the fewer images there are, and then cost more than a bit each where they are not
    handed over. Those of the validation and evaluation images always stay."""
    seed: int = 0
    """Of the coins, their pixels and the mixing matrices."""

    def coins(self, count: int) -> Coins:
        """What images tell of so many coins."""
        return Coins(count, self.shown_as, self.seed)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UserError(f"spike_in_options.seed is {self.seed}; seeds are whole numbers from 0 on.")
