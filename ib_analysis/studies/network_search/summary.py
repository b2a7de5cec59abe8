"""A search as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ib_analysis.information.plain_text import align
from ib_analysis.studies.network_search.answers import answers
from ib_analysis.studies.network_search.config import ENERGY, ERROR, LATENCY
from ib_analysis.studies.network_search.plan import NetworkSearch
from ib_analysis.studies.network_search.rows import BitsRow, FrontRow, MethodRow, RoundRow, SearchedRow
from ib_analysis.studies.network_search.table import Tables
from ib_analysis.studies.network_search.timing import STEADY

__all__ = ["known_costs", "summary", "times_of_the_search"]


def summary(search: NetworkSearch, tables: Tables, unmeasured: Sequence[Path]) -> str:
    """Methods, the final front, its bits, and what must be known to read them.

    Arguments:
        unmeasured: files of the front's experiments that `ib figures` has still to measure.
    """
    settings = search.settings
    costs = [name for name in settings.objectives if name != ERROR]
    lines = [["method", "networks", "repeats", "hypervolume", "on the front", "rank correlation", "seconds"]]
    for method in tables.methods:
        correlation = _with_rounds(method, tables.rounds)
        lines.append(
            [method.method, str(method.evaluations), str(method.repeats), f"{method.hypervolume:.4f}",
             str(method.on_front), correlation, f"{method.seconds:.0f}"]
        )  # fmt: skip
    parts = [f"Search among networks of {search.experiment.config.name}, judged on held-out images", *align(lines)]
    parts += known_costs(settings.methods)
    if any(row.violation > 0 and row.not_dominated for row in tables.searched):
        parts.append("No network keeps all limits; those that miss them least are taken.")
    parts += ["", *_front(tables.front, costs), ""]
    if len(settings.final_seeds) == 1:
        parts.append("One seed: intervals are for new images alone.")
    if LATENCY in search.measured:
        parts.append(
            "Times are of kernels that run the network (float32, 8-bit integers, packed bits), never of simulated "
            "quantization."
            + (" *: unsteady twice, not to be relied upon." if any(row.latency_flagged for row in tables.front) else "")
        )
        parts += times_of_the_search(tables.searched)
    if ENERGY in search.measured:
        parts.append(f"Energy: {tables.front[0].energy_source}.")
    if tables.bits:
        parts += ["", *_bits(tables.bits), "", *answers(tables.cost_bits, tables.pairs, settings.confidence)]
    if unmeasured:
        parts += [
            "",
            "The bits of the front's layers are measured by",
            *(f"  ib figures {path}" for path in unmeasured),
        ]
        parts.append(f"and drawn beside accuracy and cost by `ib search {search.experiment.config.name}` again.")
    return "\n".join(parts)


def known_costs(methods: Sequence[str]) -> list[str]:
    """What DPP-Net is told and no other method is; a comparison must say it."""
    if "dpp_net" not in methods or len(methods) == 1:
        return []
    return ["dpp_net knows all costs, measured time too, of networks before it trains them; no other method does."]


def times_of_the_search(rows: Sequence[SearchedRow]) -> list[str]:
    """Whether the times that the search went by can be relied upon, and compared with each other."""
    timed = {row.network: row for row in rows if row.latency_reference_ms is not None}
    if not timed:
        return []
    flagged = sum(bool(row.latency_flagged) for row in timed.values())
    reference = [row.latency_reference_ms or 0.0 for row in timed.values()]
    low, high = min(reference), max(reference)
    said = (
        f"In the search {flagged} of {len(timed)} times were unsteady twice; the reference network took {low:.3g} to "
        f"{high:.3g} ms beside them"
    )
    drifted = high > (1 + STEADY) * low
    return [said + (f": the machine itself moved by {high / low - 1:.0%} between measurements." if drifted else ".")]


def _with_rounds(method: MethodRow, rounds: Sequence[RoundRow]) -> str:
    """The mean with how many rounds, of how many networks each, it is a mean of."""
    own = [row for row in rounds if (row.method, row.metric) == (method.method, ERROR)]
    n = [row.n_networks for row in own if row.rank_correlation is not None]
    if method.rank_correlation is None or not n:
        return ""
    size = f"{min(n)}" if min(n) == max(n) else f"{min(n)} to {max(n)}"
    return f"{method.rank_correlation:.2f} ({len(n)} round{'s' if len(n) > 1 else ''} of {size})"


def _front(rows: Sequence[FrontRow], costs: Sequence[str]) -> list[str]:
    lines = [["final front", "test accuracy, %", *costs, "network"]]
    for row in rows:
        accuracy, low, high = (
            f"{100 * value:.2f}" for value in (row.test_accuracy, row.test_accuracy_low, row.test_accuracy_high)
        )
        shown = [
            f"{getattr(row, name):.4g}" + ("*" if name == LATENCY and row.latency_flagged else "") for name in costs
        ]
        lines.append([row.name, f"{accuracy} [{low}, {high}]", *shown, row.network])
    return align(lines)


def _bits(rows: Sequence[BitsRow]) -> list[str]:
    lines = [["final front", "layer", "I(X;H), bits", "I(H;Y), bits", "warnings"]]
    for row in rows:
        image = f"{row.i_xh_bits:.1f} [{row.i_xh_bits_low:.1f}, {row.i_xh_bits_high:.1f}]"
        label = (
            "" if row.i_hy_bits is None else f"{row.i_hy_bits:.2f} [{row.i_hy_bits_low:.2f}, {row.i_hy_bits_high:.2f}]"
        )
        lines.append([row.name, row.layer, image, label, row.warnings])
    return align(lines)
