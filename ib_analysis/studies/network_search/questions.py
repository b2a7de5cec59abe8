"""The two questions about a front: do cheap networks keep less, and do equally good ones keep different bits?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy.stats import permutation_test, rankdata

from ib_analysis.information.intervals import Interval
from ib_analysis.information.seed_spread import spread_over_seeds
from ib_analysis.information.table import InformationRow
from ib_analysis.information.warnings import join_warnings, split_warnings
from ib_analysis.studies.network_search.rows import CostBitsRow, FrontRow, PairRow
from ib_analysis.studies.paired_accuracy import paired_difference

__all__ = ["FEWEST", "cost_bits_rows", "pair_rows", "rank_correlation"]

FEWEST = 3
"""Fewer networks have no course."""
QUANTITIES = ("i_xh_bits", "i_hy_bits")

Cells = Mapping[str, Sequence[InformationRow]]
"""Name of a measured network -> its cells of one epoch."""


def cost_bits_rows(front: Sequence[FrontRow], cells: Cells, costs: Sequence[str]) -> Iterator[CostBitsRow]:
    """Rank correlation of each cost with the bits of each layer, over the measured networks that have the layer.

    A network counts with its mean over seeds; what single seeds say is beside it.
    """
    measured = [row for row in front if row.name in cells]
    for cost in costs:
        for layer in _layers(cells):
            for quantity in QUANTITIES:
                runs = {row.name: _runs(cells[row.name], layer, quantity) for row in measured}
                spent = [float(getattr(row, cost)) for row in measured if runs[row.name]]
                bits = [_by_encoder(of) for of in runs.values() if of]
                if len(spent) < FEWEST:
                    continue
                rho, p_value = rank_correlation(spent, [float(np.mean(list(one.values()))) for one in bits])
                seeds = [seed for seed in bits[0] if all(seed in one for one in bits)]
                single = [rank_correlation(spent, [one[seed] for one in bits])[0] for seed in seeds] or [rho]
                yield CostBitsRow(cost, layer, quantity, len(spent), len(seeds), rho, min(single), max(single), p_value)


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Spearman's rho, and its two-sided p-value by permutation: all orders of up to 7, beyond 9999 random ones.

    What is exchanged are whole networks: their seeds are no further evidence about how bits go with cost. Of 4 networks
    no p-value is below 1/12. Equal values share their mean rank; where all are equal rho is 0.

    >>> rho, p_value = rank_correlation([1, 2, 5, 9], [3, 4, 6, 7])
    >>> rho, round(24 * p_value)
    (1.0, 2)
    """
    x, y = (rankdata(values) - (len(values) + 1) / 2 for values in (first, second))
    scale = math.sqrt(float((x**2).sum() * (y**2).sum()))
    if scale == 0:
        return 0.0, 1.0

    def rho(one: np.ndarray, axis: int = -1) -> np.ndarray:
        return (one * y).sum(axis) / scale

    found = permutation_test(
        (x,), rho, permutation_type="pairings", vectorized=True, n_resamples=9999, rng=np.random.default_rng(0)
    )
    return float(rho(x)), float(found.pvalue)


def pair_rows(
    front: Sequence[FrontRow],
    cells: Cells,
    correct: Mapping[str, Mapping[int, np.ndarray]],
    cost: str,
    confidence: float,
    resamples: int,
) -> Iterator[PairRow]:
    """Every two measured networks, and each layer of both: the dearer minus the cheaper.

    Accuracies are paired by seed and image; bits by seed, and the half-widths over images of the two cells are added in
    quadrature as if their images were not the same: such an interval is rather too wide.

    Arguments:
        correct: name -> encoder seed -> shape (test images,), 0 or 1.
        cost: the one that says which is dearer.
        confidence: level of the intervals.
        resamples: of the bootstrap over images.
    """
    measured = sorted((row for row in front if row.name in cells), key=lambda row: float(getattr(row, cost)))
    for cheap, dear in combinations(measured, 2):
        accuracy = paired_difference(correct[dear.name], correct[cheap.name], confidence, resamples).mean
        own = {row.name: cells[row.name] for row in (cheap, dear)}
        for layer in _layers(own):
            image, label = (
                _difference(own[dear.name], own[cheap.name], layer, name, confidence) for name in QUANTITIES
            )
            if image is None:
                continue
            both = [row for of in own.values() for row in of if row.layer == layer]
            yield PairRow(
                cheaper=cheap.name,
                dearer=dear.name,
                cost_ratio=float(getattr(dear, cost)) / float(getattr(cheap, cost)),
                accuracy=accuracy.estimate,
                accuracy_low=accuracy.low,
                accuracy_high=accuracy.high,
                equally_accurate=int(accuracy.low <= 0 <= accuracy.high),
                layer=layer,
                n_seeds=len({seed for seed, _ in _runs(both, layer, QUANTITIES[0])}),
                i_xh_bits=image.estimate,
                i_xh_bits_low=image.low,
                i_xh_bits_high=image.high,
                i_hy_bits=None if label is None else label.estimate,
                i_hy_bits_low=None if label is None else label.low,
                i_hy_bits_high=None if label is None else label.high,
                warnings=join_warnings(name for row in both for name in split_warnings(row.warnings)),
            )


def _difference(
    dear: Sequence[InformationRow], cheap: Sequence[InformationRow], layer: str, quantity: str, confidence: float
) -> Interval | None:
    first, second = _runs(dear, layer, quantity), _runs(cheap, layer, quantity)
    differences = {}
    for run in [run for run in first if run in second]:
        one, other = first[run], second[run]
        estimate = one.estimate - other.estimate
        half = math.hypot(one.high - one.low, other.high - other.low) / 2
        differences[run] = Interval(estimate, estimate - half, estimate + half)
    return spread_over_seeds(differences, confidence).mean if differences else None


def _layers(cells: Cells) -> list[str]:
    return list(dict.fromkeys(row.layer for of in cells.values() for row in of))


def _runs(cells: Sequence[InformationRow], layer: str, quantity: str) -> dict[tuple[int, int], Interval]:
    """(encoder seed, decoder seed) -> bits with their interval; nothing where the layer has none."""
    found = {}
    for row in cells:
        ends = [getattr(row, quantity + end) for end in ("", "_low", "_high")]
        if row.layer == layer and None not in ends:
            found[row.encoder_seed, row.decoder_seed] = Interval(*ends)
    return found


def _by_encoder(runs: Mapping[tuple[int, int], Interval]) -> dict[int, float]:
    """Encoder seed -> bits, the mean over decoders."""
    seeds = dict.fromkeys(seed for seed, _ in runs)
    return {seed: float(np.mean([one.estimate for (own, _), one in runs.items() if own == seed])) for seed in seeds}
