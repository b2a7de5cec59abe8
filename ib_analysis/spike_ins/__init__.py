"""Spike-ins: fair coins written into images, to see whether decoders find information that is known to be there."""

from ib_analysis.spike_ins.coins import Coins, check, coin_map, coin_pixels, draw_coins, overwrite
from ib_analysis.spike_ins.config import SpikeInConfig
from ib_analysis.spike_ins.mixing import Mixing, mixing_for

__all__ = [
    "Coins",
    "Mixing",
    "SpikeInConfig",
    "check",
    "coin_map",
    "coin_pixels",
    "draw_coins",
    "mixing_for",
    "overwrite",
]
