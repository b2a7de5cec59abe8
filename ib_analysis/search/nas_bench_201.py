"""The cells of NAS-Bench-201 (Dong & Yang 2020, arXiv 2001.00326): six edges, five operations each.

A cell has four nodes; node 0 is its input, and node j is the sum of an operation on every earlier node. Its string
lists the edges by the node that they lead to: ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``.
"""

from __future__ import annotations

import re
from itertools import pairwise

from ib_analysis.search.space import Architecture, Choice, Space

__all__ = ["EDGES", "NAS_BENCH_201", "OPERATIONS", "architecture_of", "macs", "string_of"]

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(from, to), in the order of the string."""

NAS_BENCH_201 = Space(tuple(Choice(f"edge_{source}_{target}", OPERATIONS) for source, target in EDGES))

_STRING = re.compile(
    r"\+".join("\\|" + "".join(rf"(\w+)~{source}\|" for source, end in EDGES if end == node) for node in (1, 2, 3))
)

_STAGES = ((16, 32), (32, 16), (64, 8))
"""(channels, height and width) of the network's three stages on 32x32 images, each of `_CELLS` cells."""
_CELLS = 5


def architecture_of(string: str) -> Architecture:
    """From a cell's string.

    Raises:
        ValueError: it is none.

    >>> architecture_of("|avg_pool_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|nor_conv_3x3~1|none~2|")
    (4, 0, 1, 2, 3, 0)
    """
    found = _STRING.fullmatch(string)
    if found is None or not set(found.groups()) <= set(OPERATIONS):
        raise ValueError(f"{string!r} is no cell of NAS-Bench-201.")
    return tuple(OPERATIONS.index(name) for name in found.groups())


def string_of(architecture: Architecture) -> str:
    """The inverse of `architecture_of`.

    >>> string_of((4, 0, 1, 2, 3, 0))
    '|avg_pool_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|nor_conv_3x3~1|none~2|'
    """
    nodes = [
        "|" + "".join(f"{OPERATIONS[k]}~{i}|" for (i, j), k in zip(EDGES, architecture, strict=True) if j == node)
        for node in (1, 2, 3)
    ]
    return "+".join(nodes)


def macs(architecture: Architecture) -> int:
    """Multiplications of the network made of this cell, for one 32x32 colour image and ten classes.

    Only convolutions and the classifier count, and also those that do not reach the output: a stem of 3x3 convolutions
    to 16 channels, three stages, between them residual blocks (3x3 with stride 2, 3x3, and 1x1 on the pooled input).

    >>> macs((0, 0, 0, 0, 0, 0)), macs((3, 3, 3, 3, 3, 3))
    (7783040, 220119680)
    """
    kernel_areas = sum({"nor_conv_1x1": 1, "nor_conv_3x3": 9}.get(OPERATIONS[k], 0) for k in architecture)
    total = 3 * 16 * 9 * 32 * 32 + 64 * 10
    for channels, side in _STAGES:
        total += _CELLS * kernel_areas * channels**2 * side**2
    for (before, _), (after, side) in pairwise(_STAGES):
        total += (9 * before * after + 9 * after**2 + before * after) * side**2
    return total
