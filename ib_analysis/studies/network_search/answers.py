"""The two questions about a front, answered in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence

from ib_analysis.information.plain_text import align
from ib_analysis.studies.network_search.questions import FEWEST
from ib_analysis.studies.network_search.rows import CostBitsRow, PairRow

__all__ = ["answers", "in_sentences"]

NAMES = {"i_xh_bits": "I(X;H)", "i_hy_bits": "I(H;Y)"}


def answers(courses: Sequence[CostBitsRow], pairs: Sequence[PairRow], confidence: float) -> list[str]:
    """Lines of text.

    Arguments:
        courses: ``front_cost_bits.csv``.
        pairs: ``front_pairs.csv``.
        confidence: level of the pairs' intervals.
    """
    return [*_courses(courses), "", *_pairs(pairs, confidence)]


def in_sentences(courses: Sequence[CostBitsRow], pairs: Sequence[PairRow], cost: str) -> list[str]:
    """What a figure says of the two questions: of I(X;H), and of one cost."""
    said = []
    own = [row for row in courses if (row.cost, row.quantity) == (cost, "i_xh_bits")]
    if own:
        listed = ", ".join(f"{row.layer} {row.rank_correlation:.2f} (p {row.p_value:.2f})" for row in own)
        said.append(f"Rank correlation of {cost} with I(X;H): {listed}.")
    equal = [row for row in pairs if row.equally_accurate]
    for cheaper, dearer in dict.fromkeys((row.cheaper, row.dearer) for row in equal):
        of_pair = [row for row in equal if (row.cheaper, row.dearer) == (cheaper, dearer)]
        listed = ", ".join(
            f"{row.layer} {_told(row.i_xh_bits, row.i_xh_bits_low, row.i_xh_bits_high)}" for row in of_pair
        )
        said.append(
            f"Equally accurate as far as these seeds and images tell, {dearer.rpartition('-')[2]} at "
            f"{of_pair[0].cost_ratio:.2g} times the cost of {cheaper.rpartition('-')[2]}: I(X;H) {listed} bits."
        )
    return said


def _courses(rows: Sequence[CostBitsRow]) -> list[str]:
    if not rows:
        return [f"Whether bits go with cost takes at least {FEWEST} measured networks."]
    lines = [["cost", "bits", "layer", "networks", "rank correlation (single seeds)", "p"]]
    for row in rows:
        rho = f"{row.rank_correlation:.2f} ({row.lowest_seed:.2f} to {row.highest_seed:.2f})"
        lines.append([row.cost, NAMES[row.quantity], row.layer, str(row.n_networks), rho, f"{row.p_value:.2f}"])
    return [
        "Do cheap networks keep less? Rank correlation of cost with bits; p by exchanging networks, line by line:",
        *align(lines),
    ]


def _pairs(rows: Sequence[PairRow], confidence: float) -> list[str]:
    equal = [row for row in rows if row.equally_accurate]
    if not equal:
        return ["No two measured networks are equally accurate as far as these seeds and images tell."]
    lines = [
        ["dearer - cheaper", "cost ratio", "accuracy, points", "layer", "I(X;H), bits", "I(H;Y), bits", "warnings"]
    ]
    for row in equal:
        names = f"{row.dearer.rpartition('-')[2]} - {row.cheaper.rpartition('-')[2]}"
        accuracy = _told(100 * row.accuracy, 100 * row.accuracy_low, 100 * row.accuracy_high)
        image = _told(row.i_xh_bits, row.i_xh_bits_low, row.i_xh_bits_high)
        label = ""
        if row.i_hy_bits is not None and row.i_hy_bits_low is not None and row.i_hy_bits_high is not None:
            label = _told(row.i_hy_bits, row.i_hy_bits_low, row.i_hy_bits_high)
        lines.append([names, f"{row.cost_ratio:.2f}", accuracy, row.layer, image, label, row.warnings])
    differ = sum(row.i_xh_bits_low > 0 or row.i_xh_bits_high < 0 for row in equal)
    seeds, chance = min(row.n_seeds for row in equal), (1 - confidence) * len(equal)
    return [
        "Do equally accurate networks keep different bits? Pairs whose difference in accuracy cannot be told from 0:",
        *align(lines),
        f"{differ} of {len(equal)} intervals of I(X;H) leave 0 out; by chance alone about {chance:.1f} would. "
        f"Intervals of {confidence:.0%} for new {'seeds' if seeds > 1 else 'images, of one seed'}.",
    ]


def _told(value: float, low: float, high: float) -> str:
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"
