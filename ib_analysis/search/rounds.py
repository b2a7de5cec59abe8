"""How well a surrogate ranked what it had not seen, round by round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["RoundCorrelation", "round_correlations"]

_PREFIX = "rank_correlation "


@dataclass(frozen=True)
class RoundCorrelation:
    """One metric in one round.

    Arguments:
        round: from 1 on.
        candidates: architectures that were predicted.
        metric: that was predicted.
        n: architectures of the round that were evaluated: those that the correlation is over.
        value: Spearman's; None in the first round, which has nothing to predict from, for fewer than 3 architectures,
            and where all predictions or truths were equal.
    """

    round: int
    candidates: int
    metric: str
    n: int
    value: float | None


def round_correlations(notes: Sequence[Mapping[str, float | None]]) -> Iterator[RoundCorrelation]:
    """From what DPP-Net notes of its rounds (`DppNet`), where NaN may have become None.

    >>> notes = [{"round": 2.0, "candidates": 9.0, "evaluated": 4.0, "rank_correlation error": 0.8}]
    >>> list(round_correlations(notes))
    [RoundCorrelation(round=2, candidates=9, metric='error', n=4, value=0.8)]
    """
    for note in notes:
        counts = {name: int(note[name] or 0) for name in ("round", "candidates", "evaluated")}
        for name, value in note.items():
            if name.startswith(_PREFIX):
                found = None if value is None or not np.isfinite(value) else float(value)
                metric = name.removeprefix(_PREFIX)
                yield RoundCorrelation(counts["round"], counts["candidates"], metric, counts["evaluated"], found)
