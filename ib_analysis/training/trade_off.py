"""What is wanted of classification and reconstruction where one network does both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["TradeOff", "Weighting"]

Weighting = Literal["exact", "linear"]
"""How a preference is pursued: `exact`, the Pareto point with r_c l_c = r_a l_a; `linear`, the least sum r_c l_c + r_a
l_a."""


@dataclass(frozen=True)
class TradeOff:
    """A preference between two losses, or a budget for the second.

    Arguments:
        kind: `exact` or `linear` for a preference (see `Weighting`), `limit` for the least classification loss among
            networks whose reconstruction loss is at most a limit.
        numbers: (r_classification, r_autoencoding), positive, of which only the ratio matters; or (limit,).

    >>> TradeOff("exact", (4, 1)).name, TradeOff("linear", (0.5, 0.5)).name, TradeOff("limit", (0.125,)).name
    ('4-1', 'linear-0.5-0.5', 'limit-0.125')
    """

    kind: Literal["exact", "linear", "limit"]
    numbers: tuple[float, ...]

    @property
    def name(self) -> str:
        """Short, and unlike that of any other; a part of names of runs."""
        return "-".join([*([] if self.kind == "exact" else [self.kind]), *(f"{number:g}" for number in self.numbers)])

    @classmethod
    def parse(cls, name: str) -> TradeOff:
        """Read a name.

        Raises:
            ValueError: it is none.

        >>> TradeOff.parse("linear-0.5-2")
        TradeOff(kind='linear', numbers=(0.5, 2.0))
        """
        found = re.fullmatch(r"(?:(linear|limit)-)?(\d[\d.]*)(?:-(\d[\d.]*))?", name)
        if found is None or (found[3] is None) != (found[1] == "limit"):
            raise ValueError(f"{name!r} is not the name of a trade-off")
        numbers = tuple(float(number) for number in found.groups()[1:] if number is not None)
        return cls("exact" if found[1] is None else found[1], numbers)  # type: ignore[arg-type]

    @property
    def preference(self) -> tuple[float, float] | None:
        """(r_classification, r_autoencoding) with sum 1; None of a limit.

        >>> TradeOff("exact", (3, 1)).preference
        (0.75, 0.25)
        """
        if self.kind == "limit":
            return None
        first, second = self.numbers
        return first / (first + second), second / (first + second)

    @property
    def limit(self) -> float | None:
        """Of the reconstruction loss; None of a preference."""
        return self.numbers[0] if self.kind == "limit" else None

    def value(self, losses: Sequence[float]) -> float:
        """What is made small: the larger r_j l_j, their sum, or the classification loss.

        Arguments:
            losses: of classification and of reconstruction.

        >>> TradeOff("exact", (3, 1)).value([0.2, 1.0]), TradeOff("limit", (0.5,)).value([0.2, 1.0])
        (0.25, 0.2)
        """
        if self.preference is None:
            return losses[0]
        weighted = np.multiply(self.preference, losses)
        return float(weighted.max() if self.kind == "exact" else weighted.sum())
