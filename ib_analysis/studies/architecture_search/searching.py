"""One search of a comparison: run, or read from its file."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ib_analysis.artifacts import plain, sha256_of_plain, write_text
from ib_analysis.search.evaluations import Evaluated, Evaluations, best
from ib_analysis.search.methods import search
from ib_analysis.search.problem import Problem
from ib_analysis.search.quality import Front, hypervolume_of, quality
from ib_analysis.search.rounds import RoundCorrelation, round_correlations
from ib_analysis.search.space import Architecture
from ib_analysis.studies.architecture_search.config import ArchitectureSearchConfig
from ib_analysis.studies.architecture_search.methods import METHODS
from ib_analysis.studies.architecture_search.rows import SearchRow

__all__ = ["SearchResult", "evaluated", "search_result"]

ALGORITHM = 2
"""Raised when the results of a search change: then it is made again."""


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Arguments:
        row: its row of ``searches.csv``.
        curve: hypervolume ratio after each evaluation; empty where the exact front has no hypervolume.
        front: the best of what it evaluated.
        rounds: of DPP-Net, metric by metric.
    """

    row: SearchRow
    curve: tuple[float, ...]
    front: tuple[Architecture, ...]
    rounds: tuple[RoundCorrelation, ...] = ()


def search_result(
    config: ArchitectureSearchConfig,
    folder: Path,
    tables: Sequence[str],
    problem: Problem,
    front: Front,
    method: str,
    seed: int,
) -> SearchResult:
    """From its file in ``folder/searches``, if that was made from the same settings and tables; else it is run.

    Arguments:
        folder: of the comparison.
        tables: SHA-256 of each table.
        problem: accuracy against one cost.
        front: the exact one.
        method: name of it.
        seed: of the search.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """
    cost = problem.objectives[1].metric
    path = folder / "searches" / f"{cost}_{method}_seed{seed}.json"
    made = METHODS[method](problem.space)
    settings = (config.choices, config.only_if, config.accuracy, config.accuracy_ideal, config.accuracy_reference)
    recipe = sha256_of_plain(
        plain({"settings": list(settings), "limits": config.limits, "budget": config.budget, "tables": list(tables),
               "method": repr(made).partition(", surrogate=")[0], "algorithm": ALGORITHM})
    )  # fmt: skip
    try:
        kept = json.loads(path.read_text())
        if kept["recipe"] == recipe:
            return _read(kept)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there, or not whole: it is made
    began = time.process_time()  # not of the clock, which other work on the machine would lengthen
    evaluations = search(made, Evaluations(problem, config.budget), seed)
    seconds = time.process_time() - began
    found = quality(evaluations.found, front)
    row = SearchRow(
        cost=cost,
        method=method,
        seed=seed,
        evaluations=len(evaluations.found),
        repeats=evaluations.repeats,
        hypervolume_ratio=_finite(found.hypervolume_ratio),
        points_found=found.points_found,
        igd_plus=found.igd_plus,
        violation=found.violation,
        rank_correlation=_mean_note(evaluations, f"rank_correlation {config.accuracy}"),
        rank_correlation_cost=_mean_note(evaluations, f"rank_correlation {cost}"),
        seconds=seconds,
    )
    result: dict[str, Any] = {
        "recipe": recipe,
        "row": plain(row),
        "curve": list(_ratios(evaluations, front)),
        "rounds": [{key: _finite(value) for key, value in note.items()} for note in evaluations.notes],
        "front": [list(one.architecture) for one in evaluations.front],
        "architectures": [list(one.architecture) for one in evaluations.found],
    }
    write_text(path, json.dumps(result) + "\n")
    volume = f"{row.hypervolume_ratio:.4f}" if row.hypervolume_ratio is not None else _why_no_hypervolume(front)
    print(f"{cost} {method} seed {seed}: {volume}, {seconds:.1f} s", flush=True)
    return _read(result)


def evaluated(problem: Problem, architecture: Architecture) -> Evaluated:
    """An architecture by another problem's measure, which for a table costs nothing."""
    metrics = problem.evaluator.evaluate(architecture)
    return Evaluated(architecture, metrics, problem.losses(metrics), problem.violation(metrics))


def _read(kept: dict[str, Any]) -> SearchResult:
    return SearchResult(
        SearchRow(**kept["row"]),
        tuple(kept["curve"]),
        tuple(tuple(architecture) for architecture in kept["front"]),
        tuple(round_correlations(kept["rounds"])),
    )


def _why_no_hypervolume(front: Front) -> str:
    return "nothing keeps the limits" if front.violation else "nothing is better than the references"


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _mean_note(evaluations: Evaluations, name: str) -> float | None:
    """Over the rounds that have it."""
    values = [note[name] for note in evaluations.notes if np.isfinite(note.get(name, np.nan))]
    return float(np.mean(values)) if values else None


def _ratios(evaluations: Evaluations, front: Front) -> Iterator[float]:
    """Share of the exact hypervolume after each evaluation."""
    if not front.hypervolume:
        return
    so_far: list[Evaluated] = []
    last = 0.0
    for one in evaluations.found:
        after = best([*so_far, one])
        if any(member is one for member in after):  # else nothing has changed
            last = hypervolume_of(after) / front.hypervolume
        so_far = after
        yield last
