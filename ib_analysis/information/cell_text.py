"""Cells as text: numbers with their marks and intervals, and what the marks mean."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from ib_analysis.information.intervals import Interval
from ib_analysis.information.table import InformationRow
from ib_analysis.information.warnings import EXPLANATIONS, split_warnings

__all__ = [
    "MARK",
    "Finished",
    "label",
    "label_information",
    "legend",
    "marked",
    "number",
    "run_of",
    "usable",
    "with_interval",
]

MARK = "!"
"""Stands behind the number of a cell with warnings."""


class Finished(Protocol):
    """What is needed of an experiment's results, as `ib_analysis.load_results` gives them."""

    @property
    def experiment(self) -> str: ...

    @property
    def information(self) -> Sequence[InformationRow]: ...

    @property
    def config(self) -> Mapping[str, Any]: ...


def usable(row: InformationRow) -> Interval:
    return Interval(row.i_xh_bits, row.i_xh_bits_low, row.i_xh_bits_high)


def label_information(row: InformationRow) -> Interval:
    """I(H;Y); nan without labels."""
    ends = row.i_hy_bits, row.i_hy_bits_low, row.i_hy_bits_high
    return Interval(*(math.nan if end is None else end for end in ends))


def run_of(row: InformationRow) -> tuple[str, str, int, int]:
    return row.task, row.number_format, row.encoder_seed, row.decoder_seed


def label(key: tuple[str, str, int, int, str], several: bool) -> str:
    task, number_format, encoder_seed, decoder_seed, _ = key
    return f"{task} {number_format} seeds {encoder_seed}/{decoder_seed}" if several else task


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def marked(value: float, row: InformationRow) -> str:
    return f"{value:.2f}{MARK if row.warnings else ''}"


def with_interval(interval: Interval, row: InformationRow) -> str:
    return f"{marked(interval.estimate, row)} [{interval.low:.2f}, {interval.high:.2f}]"


def legend(rows: Iterable[InformationRow]) -> list[str]:
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        for name in split_warnings(row.warnings):
            counts[name] += 1
        for name in split_warnings(row.probe_warnings):
            counts[name] += 1  # named, but no number is marked: i_hy_bits is a lower bound all the same
    if not counts:
        return []
    lines = [f"{MARK} {name} (cells: {counts[name]}). {EXPLANATIONS.get(name, '')}".rstrip() for name in sorted(counts)]
    return ["", *lines]
