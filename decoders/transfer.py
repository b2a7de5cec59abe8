"""Weights for a warm start: from a decoder of some cells to a decoder of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from decoders.config import Cell
from decoders.readings import weights_of_readings

if TYPE_CHECKING:
    from decoders import Decoder

__all__ = ["take_weights", "weights_of_cells"]


@torch.no_grad()
def take_weights(decoder: Decoder, source: Decoder) -> None:
    """Give a decoder the weights of another of the same architecture.

    Each cell takes over its layer's read-out and the correction, scale and shift of the source's cell of its name, or
    else those of the source's only cell of its layer. The standardisation of activations stays the decoder's own. A
    cell that both know, standardised alike, then has exactly the source's code lengths.

    Args:
        decoder: is changed.
        source: where the weights come from.

    Raises:
        ValueError: another architecture or other images, or a cell that nothing in the source stands for.
    """
    ours, theirs = (
        (type(one), one.config.image, one.config.architecture, getattr(one.config, "reader", None))
        for one in (decoder, source)
    )
    if ours != theirs:
        raise ValueError("weights can only be taken from a decoder of the same architecture and images")
    if decoder.conditioning is not None:
        if source.conditioning is None:
            raise ValueError("weights for a conditional decoder cannot be taken from an unconditional one")
        decoder.conditioning.take_cells(source.conditioning)
    own = decoder.state_dict()
    # An unconditional decoder has no place for what belongs to conditions.
    common = {name: value for name, value in source.state_dict().items() if ".projections." not in name and name in own}
    decoder.load_state_dict({**own, **common})


def weights_of_cells(
    weights: Mapping[str, Tensor], cells: Sequence[Cell], kept: Sequence[str], prefix: str = "conditioning."
) -> dict[str, Tensor]:
    """Of a decoder's weights those of some of its cells: a state dict of a decoder of these cells alone.

    That decoder has the same code lengths under them, and may call them otherwise.

    Args:
        weights: state dict of a decoder.
        cells: all that it knows, in its order.
        kept: names of cells, in the order that they shall have.
        prefix: of the names of what belongs to the cells.

    Raises:
        ValueError: an unknown cell, or one twice.
    """
    own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    others = {name: value for name, value in weights.items() if not name.startswith(prefix)}
    return others | {prefix + name: value for name, value in weights_of_readings(own, cells, kept).items()}
