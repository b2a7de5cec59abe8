"""Rows of claims.csv about late compression: how frequent it is, and whether it goes with accuracy on held-out images.

Networks of one number format are compared within a layer, over encoder seeds: Spearman's rank correlation of the bits
lost since the peak with the accuracy of the network, averaged over layers. All layers of a network share its accuracy,
so that the p-value is that of networks which change their accuracies, the same change in all layers. Beside it stands
the correlation over all cells at once, layers and formats together: late layers both compress and differ in how well
their networks do, so that it describes the table and decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import permutations

import numpy as np
from scipy.stats import rankdata

from ib_analysis.information.claims_table import ALL, FLOAT, LATE_COMPRESSION, UNTESTED, ClaimRow
from ib_analysis.information.phases_in_words import COMPRESSES, NOT_JUDGED
from ib_analysis.information.phases_table import PhaseRow
from ib_analysis.information.warnings import join_warnings, split_warnings

__all__ = ["FEWEST_SEEDS", "late_compression_rows", "mean_rank_correlation", "rank_correlation"]

FEWEST_SEEDS = 4
"""Fewer networks have too few orders for a p-value below 5 %: 3 have 6."""
MOST_ORDERS = 5040
"""Orders that are all looked at (7 networks); beyond, so many are drawn."""
LINKED, NO_LINK = "linked", "no link found"
_SOURCE = "arXiv 2605.03636"


def late_compression_rows(
    rows: Sequence[PhaseRow], accuracies: Mapping[tuple[str, int], float], confidence: float
) -> list[ClaimRow]:
    """Rows of the claim `late_compression`, the last of them its sentence; none without curves.

    Arguments:
        rows: of phases.csv, of one task; those over seeds are left out.
        accuracies: (number format, encoder seed) -> share of held-out images that the network classifies right.
        confidence: its complement is the level of the test.
    """
    curves = [row for row in rows if row.encoder_seed is not None and row.verdict != NOT_JUDGED]
    if not curves:
        return []
    found: list[ClaimRow] = []
    parts: list[str] = []
    links: dict[str, str] = {}
    for name in dict.fromkeys(row.number_format for row in curves):
        own = [row for row in curves if row.number_format == name]
        late = sum(row.verdict == COMPRESSES for row in own)
        share = f"{late} of {len(own)} curves compress in {name}"
        value, p_value, n_seeds = mean_rank_correlation(own, accuracies)
        link = UNTESTED if p_value is None else LINKED if p_value <= 1 - confidence else NO_LINK
        if p_value is not None:
            why = f"{value:+.2f} within layers over {n_seeds} networks (p = {p_value:.2g})"
        elif n_seeds < FEWEST_SEEDS:
            why = f"{n_seeds} encoder seed{'s' if n_seeds != 1 else ''} ({FEWEST_SEEDS} are needed)"
        else:
            why = f"as the bits lost or the accuracies are the same in all {n_seeds} networks"
        told = f"{link}, {why}"
        found.append(_row(own, name, "compressing_share", late / len(own), None, "", share))
        found.append(_row(own, name, "rank_correlation", value, p_value, link, f"{name}: {told}"))
        parts.append(f"{share}, rank correlation of the bits lost with accuracy {told}")
        links[name] = link
    losses = [row.compression_loss_bits for row in curves]
    over_cells = rank_correlation(losses, [accuracies[row.number_format, row.encoder_seed or 0] for row in curves])
    if over_cells is not None:
        parts.append(f"{over_cells:+.2f} over all {len(curves)} curves, which decides nothing")
    found.append(_row(curves, ALL, "rank_correlation_over_cells", over_cells, None, "", parts[-1]))
    of_claim = {link for name, link in links.items() if name != FLOAT} or set(links.values())
    warned = any(row.warnings for row in curves)
    sentence = (
        f"Late compression frequent, and not linked to generalization ({_SOURCE}, of which the abstract was read)? "
        f"{'; '.join(parts)}" + (" [with warnings]" if warned else "")
    )
    found.append(_row(curves, ALL, "answer", None, None, of_claim.pop() if len(of_claim) == 1 else "mixed", sentence))
    return found


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation, -1 to 1, with mean ranks for equals; None where one of the two does not vary.

    >>> rank_correlation([1.0, 2.0, 3.0], [5.0, 7.0, 9.0]), rank_correlation([1.0, 2.0], [3.0, 3.0])
    (1.0, None)
    """
    a, b = (rankdata(values) - (len(values) + 1) / 2 for values in (first, second))
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return round(float(a @ b) / scale, 12) if scale else None


def mean_rank_correlation(
    curves: Sequence[PhaseRow], accuracies: Mapping[tuple[str, int], float]
) -> tuple[float | None, float | None, int]:
    """The mean over layers of the rank correlation over encoder seeds, its p-value, and the number of seeds.

    A layer's bits are means over decoder seeds. Layers in which one of the two does not vary are left out.

    Arguments:
        curves: of one number format.
        accuracies: (number format, encoder seed) -> accuracy.

    Returns:
        None and None where there are fewer than `FEWEST_SEEDS` seeds, or nothing varies.
    """
    seeds = sorted({row.encoder_seed for row in curves if row.encoder_seed is not None})
    if len(seeds) < FEWEST_SEEDS:
        return None, None, len(seeds)
    groups: dict[str, dict[int, list[float]]] = {}
    for row in curves:
        if row.encoder_seed is not None:
            groups.setdefault(row.layer, {}).setdefault(row.encoder_seed, []).append(row.compression_loss_bits)
    layers = [[float(np.mean(group[seed])) for seed in seeds] for group in groups.values() if set(group) == set(seeds)]
    own = [accuracies[curves[0].number_format, seed] for seed in seeds]

    def mean(order: Sequence[int]) -> float | None:
        known = [rank_correlation(losses, [own[place] for place in order]) for losses in layers]
        varied = [value for value in known if value is not None]
        return float(np.mean(varied)) if varied else None

    value = mean(range(len(seeds)))
    if value is None:
        return None, None, len(seeds)
    others = [mean(order) for order in _orders(len(seeds))]
    as_large = sum(other is not None and abs(other) >= abs(value) - 1e-9 for other in others)
    return value, as_large / len(others), len(seeds)


def _orders(n: int) -> list[tuple[int, ...]]:
    """All orders of n things, or as many drawn ones, of which the first is the order as it is."""
    if math.factorial(n) <= MOST_ORDERS:
        return list(permutations(range(n)))
    rng = np.random.default_rng(0)
    return [tuple(range(n)), *(tuple(rng.permutation(n).tolist()) for _ in range(MOST_ORDERS - 1))]


def _row(
    curves: Sequence[PhaseRow],
    number_format: str,
    quantity: str,
    value: float | None,
    p_value: float | None,
    verdict: str,
    finding: str,
) -> ClaimRow:
    first = curves[0]
    n_encoders, n_decoders = len({row.encoder_seed for row in curves}), len({row.decoder_seed for row in curves})
    return ClaimRow(
        first.experiment, LATE_COMPRESSION, _SOURCE, first.task, number_format, ALL, quantity, value, None, None,
        p_value, n_encoders, n_decoders, len(curves), "", "", "" if p_value is None else "orders of networks", verdict,
        join_warnings(name for row in curves for name in split_warnings(row.warnings)), finding,
    )  # fmt: skip
