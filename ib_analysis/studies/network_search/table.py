"""From what the searches found, and what test images and readers say of the final front, to the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ib_analysis.information.intervals import Bootstrap, Interval, paired_bootstrap_intervals
from ib_analysis.information.seed_spread import spread_over_seeds
from ib_analysis.information.table import InformationRow, write_table
from ib_analysis.information.warnings import join_warnings, split_warnings
from ib_analysis.results import load_results
from ib_analysis.search.evaluations import Evaluated, best
from ib_analysis.studies.network_search.config import ENERGY, ERROR, EXACT, LATENCY
from ib_analysis.studies.network_search.execution import kernels_of
from ib_analysis.studies.network_search.final import correct_images, final_timings
from ib_analysis.studies.network_search.front import Member, member_config
from ib_analysis.studies.network_search.measured import energy_source, recorded
from ib_analysis.studies.network_search.plan import NetworkSearch
from ib_analysis.studies.network_search.questions import cost_bits_rows, pair_rows
from ib_analysis.studies.network_search.rows import (
    BitsRow,
    CostBitsRow,
    FrontRow,
    MethodRow,
    PairRow,
    RoundRow,
    SearchedRow,
)
from ib_analysis.studies.network_search.searching import Found

__all__ = ["BITS", "COST_BITS", "FRONT", "METHODS", "PAIRS", "ROUNDS", "SEARCHED", "Tables", "bits_of", "tabulate"]

SEARCHED, METHODS, FRONT, BITS = "searched.csv", "methods.csv", "network_front.csv", "front_bits.csv"
ROUNDS, COST_BITS, PAIRS = "rounds.csv", "front_cost_bits.csv", "front_pairs.csv"


@dataclass(frozen=True)
class Tables:
    """The rows of the tables; `bits`, `cost_bits` and `pairs` are of those networks whose experiments are finished."""

    searched: list[SearchedRow]
    methods: list[MethodRow]
    front: list[FrontRow]
    bits: list[BitsRow]
    rounds: list[RoundRow]
    cost_bits: list[CostBitsRow]
    pairs: list[PairRow]


def tabulate(search: NetworkSearch, found: Sequence[Found], members: Sequence[Member]) -> Tables:
    """Write the tables and return their rows."""
    searched, methods = _searched(search, found)
    front = _front(search, found, members)
    rounds = [
        RoundRow(of.method, one.round, one.candidates, one.metric, one.n, one.value)
        for of in found
        for one in of.rounds
    ]
    tables = Tables(
        searched, methods, front, bits_of(search, members, front), rounds, *_answers(search, members, front)
    )
    write_table(search.folder / SEARCHED, SearchedRow, tables.searched)
    write_table(search.folder / METHODS, MethodRow, tables.methods)
    write_table(search.folder / FRONT, FrontRow, tables.front)
    write_table(search.folder / BITS, BitsRow, tables.bits)
    write_table(search.folder / ROUNDS, RoundRow, tables.rounds)
    write_table(search.folder / COST_BITS, CostBitsRow, tables.cost_bits)
    write_table(search.folder / PAIRS, PairRow, tables.pairs)
    return tables


def _costs(search: NetworkSearch, metrics: Mapping[str, float]) -> dict[str, Any]:
    has_energy = ENERGY in search.measured
    return {
        **{name: metrics[name] for name in EXACT},
        LATENCY: metrics.get(LATENCY),
        ENERGY: metrics.get(ENERGY),
        "energy_source": energy_source(search.settings) if has_energy else "",
    }


def _searched(search: NetworkSearch, found: Sequence[Found]) -> tuple[list[SearchedRow], list[MethodRow]]:
    everything = {one.architecture: one for of_method in found for one in of_method.evaluated}
    front = {one.architecture for one in best(list(everything.values()))}
    rows, methods = [], []
    for of in found:
        for place, (one, volume) in enumerate(zip(of.evaluated, of.hypervolumes, strict=True), start=1):
            rows.append(
                SearchedRow(
                    **_costs(search, one.metrics),
                    method=of.method,
                    place=place,
                    network=search.words(one.architecture),
                    error=one.metrics[ERROR],
                    violation=one.violation,
                    hypervolume=volume,
                    not_dominated=int(one.architecture in front),
                    **_of_time(search, one),
                )
            )
        methods.append(
            MethodRow(
                method=of.method,
                evaluations=len(of.evaluated),
                repeats=of.repeats,
                hypervolume=of.hypervolumes[-1],
                on_front=sum(one.architecture in front for one in of.evaluated),
                rank_correlation=of.rank_correlation,
                seconds=of.seconds,
            )
        )
    return rows, methods


def _of_time(search: NetworkSearch, one: Evaluated) -> dict[str, Any]:
    """How steady the time was that the search went by; nothing where another machine has measured it."""
    if LATENCY not in search.measured:
        return {}
    config = search.network(one.architecture)
    file = recorded(config, search.settings, search.measured, search.folder / "measured")
    if file.get(LATENCY) != one.metrics[LATENCY]:
        return {}
    return {
        "latency_iqr_ms": file["latency_iqr_ms"],
        "latency_flagged": int(file["latency_flagged"]),
        "latency_reference_ms": file["reference_ms"],
    }


def _front(search: NetworkSearch, found: Sequence[Found], members: Sequence[Member]) -> list[FrontRow]:
    metrics = {one.architecture: one.metrics for of in found for one in of.evaluated}
    timings = final_timings(search, members)
    rows = []
    for member in members:
        own, correct = metrics[member.architecture], correct_images(search, member)
        accuracy = _accuracy(search, correct)
        costs, timing = _costs(search, own), timings.get(member.name)
        if timing is not None:
            costs[LATENCY] = timing["median_ms"]  # all of the front by turns, where the search had one by one
        rows.append(
            FrontRow(
                **costs,
                name=member.name,
                network=search.words(member.architecture),
                found_by=";".join(member.found_by),
                held_out_error=own[ERROR],
                n_seeds=len(correct),
                n_images=correct.shape[1],
                test_accuracy=accuracy.estimate,
                test_accuracy_low=accuracy.low,
                test_accuracy_high=accuracy.high,
                kernels=";".join(sorted(set(kernels_of(member_config(search, member)).values()))),
                latency_iqr_ms=None if timing is None else timing["iqr_ms"],
                latency_flagged=None if timing is None else int(timing["flagged"]),
            )
        )
    return rows


def _accuracy(search: NetworkSearch, correct: np.ndarray) -> Interval:
    settings = search.settings
    runs = paired_bootstrap_intervals(
        correct.astype(np.float64), Bootstrap(settings.confidence, settings.resamples)
    )  # fmt: skip
    return spread_over_seeds({(seed, 0): run for seed, run in enumerate(runs)}, settings.confidence).mean


def bits_of(search: NetworkSearch, members: Sequence[Member], front: Sequence[FrontRow]) -> list[BitsRow]:
    """Every layer of those members whose experiments have been measured, after their last epoch."""
    cells, cost = _cells(search, members), _costs_asked(search)[0]
    rows = []
    for of_front in front:
        measured = cells.get(of_front.name, [])
        for layer in dict.fromkeys(row.layer for row in measured):
            own = [row for row in measured if row.layer == layer]
            rows.append(_layer_row(search, of_front, layer, own, float(getattr(of_front, cost))))
    return rows


def _costs_asked(search: NetworkSearch) -> list[str]:
    return [name for name in search.settings.objectives if name != ERROR]


def _cells(search: NetworkSearch, members: Sequence[Member]) -> dict[str, list[InformationRow]]:
    """Cells of the last epoch of those members that `ib figures` has measured."""
    root, found = Path(search.experiment.config.checkpoints), {}
    for member in members:
        if (root / member.name / "information.csv").exists():
            information = load_results(member.name, root).information
            last = max(row.epoch for row in information)
            found[member.name] = [row for row in information if row.epoch == last]
    return found


def _answers(
    search: NetworkSearch, members: Sequence[Member], front: Sequence[FrontRow]
) -> tuple[list[CostBitsRow], list[PairRow]]:
    cells, costs, settings = _cells(search, members), _costs_asked(search), search.settings
    correct = {
        member.name: dict(zip(settings.final_seeds, correct_images(search, member), strict=True))
        for member in members
        if member.name in cells
    }
    pairs = pair_rows(front, cells, correct, costs[0], settings.confidence, settings.resamples)
    return list(cost_bits_rows(front, cells, costs)), list(pairs)


def _layer_row(
    search: NetworkSearch, of_front: FrontRow, layer: str, own: Sequence[InformationRow], cost: float
) -> BitsRow:
    confidence = search.settings.confidence

    def mean(name: str) -> Interval | None:
        runs = {}
        for row in own:
            ends = [getattr(row, name + end) for end in ("", "_low", "_high")]
            if None in ends:
                return None
            runs[row.encoder_seed, row.decoder_seed] = Interval(*ends)
        return spread_over_seeds(runs, confidence).mean

    image, label = mean("i_xh_bits"), mean("i_hy_bits")
    assert image is not None
    return BitsRow(
        name=of_front.name,
        network=of_front.network,
        layer=layer,
        n_seeds=len({row.encoder_seed for row in own}),
        cost=cost,
        test_accuracy=of_front.test_accuracy,
        i_xh_bits=image.estimate,
        i_xh_bits_low=image.low,
        i_xh_bits_high=image.high,
        i_hy_bits=None if label is None else label.estimate,
        i_hy_bits_low=None if label is None else label.low,
        i_hy_bits_high=None if label is None else label.high,
        warnings=join_warnings(name for row in own for name in split_warnings(row.warnings)),
    )
