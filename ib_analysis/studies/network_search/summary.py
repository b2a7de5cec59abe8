"""A search as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ib_analysis.information.plain_text import align
from ib_analysis.studies.network_search.config import ENERGY, ERROR, LATENCY
from ib_analysis.studies.network_search.plan import NetworkSearch
from ib_analysis.studies.network_search.rows import BitsRow, FrontRow
from ib_analysis.studies.network_search.table import Tables

__all__ = ["summary"]


def summary(search: NetworkSearch, tables: Tables, unmeasured: Sequence[Path]) -> str:
    """Methods, the final front, its bits, and what must be known to read them.

    Arguments:
        unmeasured: files of the front's experiments that `ib figures` has still to measure.
    """
    settings = search.settings
    costs = [name for name in settings.objectives if name != ERROR]
    lines = [["method", "networks", "repeats", "hypervolume", "on the front", "rank correlation", "seconds"]]
    for method in tables.methods:
        correlation = "" if method.rank_correlation is None else f"{method.rank_correlation:.2f}"
        lines.append(
            [method.method, str(method.evaluations), str(method.repeats), f"{method.hypervolume:.4f}",
             str(method.on_front), correlation, f"{method.seconds:.0f}"]
        )  # fmt: skip
    parts = [f"Search among networks of {search.experiment.config.name}, judged on held-out images", *align(lines)]
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
    if ENERGY in search.measured:
        parts.append(f"Energy: {tables.front[0].energy_source}.")
    if tables.bits:
        parts += ["", *_bits(tables.bits)]
    if unmeasured:
        parts += [
            "",
            "The bits of the front's layers are measured by",
            *(f"  ib figures {path}" for path in unmeasured),
        ]
        parts.append(f"and drawn beside accuracy and cost by `ib search {search.experiment.config.name}` again.")
    return "\n".join(parts)


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
