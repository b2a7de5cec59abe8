"""Networks of different blocks with the same number of parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

from ib_analysis.artifacts import UserError
from ib_analysis.encoders.build import build_encoder
from ib_analysis.encoders.config import BLOCKS, Block, EncoderConfig

__all__ = ["TOLERANCE", "equal_parameters", "parameter_count"]

TOLERANCE = 0.02
"""How far apart two networks may be, as a share of their parameters, to count as equally large."""
FURTHEST = 2
"""Steps by which the width of a stage may change."""


def parameter_count(config: EncoderConfig, image_shape: Sequence[int], n_classes: int) -> int:
    """Parameters of the classifier.

    Arguments:
        image_shape: (C, H, W).
        n_classes: number of logits.

    >>> parameter_count(EncoderConfig("rir", depth=8, width=8), (1, 16, 16), 10)
    19084
    """
    network = build_encoder(config, "classification", image_shape, 256, n_classes, seed=0)
    return sum(parameter.numel() for parameter in network.parameters())


def equal_parameters(
    config: EncoderConfig, image_shape: Sequence[int], n_classes: int, tolerance: float = TOLERANCE
) -> dict[Block, EncoderConfig]:
    """Classifiers of all kinds of blocks with as many parameters as the given one, by the choice of their widths.

    Depth and shortcut stay; the form of layers and the outer shortcut, which other blocks do not have, are kept where
    they belong. Widths change by no more than is needed, those of later stages first.

    Arguments:
        config: of the architecture `rir`, with one of its blocks.
        image_shape: (C, H, W).
        n_classes: number of logits.
        tolerance: the largest difference from the given one, as a share of its parameters.

    Returns:
        Block -> config; that of its own block is the given one.

    Raises:
        UserError: the config is of another architecture, or no widths come near enough.

    >>> found = equal_parameters(EncoderConfig("rir", depth=8, width=16, shortcut="projection"), (1, 16, 16), 10)
    >>> {block: other.stage_widths for block, other in found.items()}
    {'plain': (16, 32, 65), 'resnet': (16, 32, 64), 'resnet_init': (16, 32, 64), 'rir': (16, 32, 64)}
    """
    if config.architecture != "rir":
        raise UserError(
            f"Networks of equal size are made for the blocks of the architecture rir, not for {config.architecture}."
        )
    wanted = parameter_count(config, image_shape, n_classes)
    found: dict[Block, EncoderConfig] = {}
    for block in BLOCKS:
        counts: dict[tuple[int, ...], int] = {}
        for candidate in _candidates(config, block):
            counts[candidate.stage_widths] = count = parameter_count(candidate, image_shape, n_classes)
            if abs(count - wanted) <= tolerance * wanted:
                found[block] = candidate
                break
        else:
            nearest = min(counts.values(), key=lambda count: abs(count - wanted))
            raise UserError(
                f"No widths near encoder.width {config.width} give blocks {block} as many parameters as "
                f"{config.block} has ({wanted:,}) within {tolerance:.1%}; the nearest have {nearest:,}. Choose a "
                "larger width."
            )
    return found


def _candidates(config: EncoderConfig, block: Block) -> Iterator[EncoderConfig]:
    """The config with another block and with widths ever further from its own, without choices of other blocks."""
    if block == config.block:
        yield config
        return
    two_streams = block in ("resnet_init", "rir")
    step = 2 if two_streams else 1
    own = [width + width % step for width in config.stage_widths]
    moves = product(range(-FURTHEST, FURTHEST + 1), repeat=3)
    for move in sorted(moves, key=lambda move: (sum(map(abs, move)), abs(move[0]), abs(move[1]), move)):
        widths = tuple(width + step * by for width, by in zip(own, move, strict=True))
        if min(widths) >= 1:
            yield replace(
                config,
                block=block,
                form=config.form if two_streams else "four_convolutions",
                outer_shortcut=True,
                widths=() if list(widths) == list(replace(config, widths=()).stage_widths) else widths,
            )
