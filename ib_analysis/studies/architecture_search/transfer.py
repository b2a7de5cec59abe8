"""What a front that was found for one device is worth on another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ib_analysis.search.problem import Problem
from ib_analysis.search.quality import Front, hypervolume_of
from ib_analysis.search.space import Architecture
from ib_analysis.studies.architecture_search.rows import TransferRow
from ib_analysis.studies.architecture_search.searching import SearchResult, evaluated
from ib_analysis.studies.architecture_search.tabulating import mean_over_seeds

__all__ = ["regret", "transfer_rows"]


def regret(architectures: Sequence[Architecture], problem: Problem, front: Front) -> float:
    """Share of a problem's exact hypervolume that these architectures do not reach together; 0 is none.

    Arguments:
        architectures: whatever they were found for.
        problem: by which they are judged.
        front: the exact one of this problem, with a hypervolume above 0.
    """
    return 1.0 - hypervolume_of([evaluated(problem, one) for one in architectures]) / front.hypervolume


def transfer_rows(
    problems: Mapping[str, Problem],
    fronts: Mapping[str, Front],
    results: Mapping[str, Mapping[str, Sequence[SearchResult]]],
    confidence: float,
) -> Iterator[TransferRow]:
    """All pairs of devices: the exact fronts, then those of every search. None if an exact front has no hypervolume.

    Arguments:
        problems: cost -> problem, all on one table with the same limits.
        fronts: cost -> exact front.
        results: searched cost -> method -> its searches.
        confidence: level of the intervals over seeds.
    """
    if not all(front.hypervolume for front in fronts.values()):
        return
    exact = {cost: [one for members in front.architectures for one in members] for cost, front in fronts.items()}
    for source in problems:
        for target in problems:
            value = regret(exact[source], problems[target], fronts[target])
            shared = len(set(exact[source]) & set(exact[target]))
            yield TransferRow("exact", source, target, 1, value, value, value, shared)
    for source, methods in results.items():
        for method, searches in methods.items():
            for target in problems:
                values = [regret(one.front, problems[target], fronts[target]) for one in searches]
                at = mean_over_seeds(values, confidence)
                yield TransferRow(method, source, target, len(values), at.estimate, at.low, at.high, None)
