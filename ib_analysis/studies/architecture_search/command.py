"""`ib search`: run the searches that are missing, tabulate, draw, and print the table."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ib_analysis.artifacts import plain, sha256_of_file, sha256_of_plain, write_text
from ib_analysis.drawn import draw_unless_drawn, show_paths
from ib_analysis.engines.locks import exclusive
from ib_analysis.information.intervals import Interval
from ib_analysis.information.seed_spread import spread_over_seeds
from ib_analysis.information.table import write_table
from ib_analysis.search.evaluations import Evaluated, Evaluations, best
from ib_analysis.search.methods import search
from ib_analysis.search.problem import Problem
from ib_analysis.search.quality import Front, exact_front, hypervolume_of, quality
from ib_analysis.studies.architecture_search.config import ArchitectureSearchConfig
from ib_analysis.studies.architecture_search.methods import METHODS
from ib_analysis.studies.architecture_search.problems import problems, table_paths
from ib_analysis.studies.architecture_search.rows import CurveRow, MethodRow, SearchRow
from ib_analysis.studies.architecture_search.summary import summary

__all__ = ["compare_methods"]

ALGORITHM = 1
"""Raised when the results of a search change: then it is made again."""


def compare_methods(config: ArchitectureSearchConfig) -> None:
    """Run whatever is missing of a comparison, draw its figure and print its table.

    Writes under ``checkpoints/<name>``: a file per search in ``searches``, from which an interrupted comparison goes
    on, ``searches.csv``, ``architecture_search.csv`` and ``curves.csv``; and the figure under ``figures/<name>``.

    Raises:
        UserError: a user's mistake (tables, full disk, another process at work); nothing finished is lost.
    """
    folder, figures = Path(config.checkpoints) / config.name, Path(config.figures) / config.name
    found = problems(config)
    tables = [sha256_of_file(path) for path in table_paths(config)]
    with exclusive(folder / ".lock", str(folder)):
        write_text(folder / "config.yaml", yaml.safe_dump(plain(config), sort_keys=False, width=110))
        searches: list[SearchRow] = []
        methods: list[MethodRow] = []
        curves: list[CurveRow] = []
        for cost, problem in found.items():
            front = exact_front(problem)
            for method in config.methods:
                results = [_result(config, folder, tables, cost, problem, front, method, seed) for seed in config.seeds]
                rows = [SearchRow(cost=cost, method=method, **result["row"]) for result in results]
                searches += rows
                methods.append(_summed(config, rows, front))
                curves += _curve(config, cost, method, [result["curve"] for result in results])
        write_table(folder / "searches.csv", SearchRow, searches)
        write_table(folder / "architecture_search.csv", MethodRow, methods)
        write_table(folder / "curves.csv", CurveRow, curves)
        show_paths(_draw(folder / "curves.csv", figures, config))
    print()
    print(summary(methods, config))


def _result(
    config: ArchitectureSearchConfig,
    folder: Path,
    tables: list[str],
    cost: str,
    problem: Problem,
    front: Front,
    name: str,
    seed: int,
) -> dict[str, Any]:
    """One search, from its file if that was made from the same settings and tables."""
    path = folder / "searches" / f"{cost}_{name}_seed{seed}.json"
    settings = (config.choices, config.only_if, config.accuracy, config.accuracy_ideal, config.accuracy_reference)
    method = METHODS[name](problem.space)
    recipe = sha256_of_plain(
        plain({"settings": list(settings), "budget": config.budget, "known": config.costs_known, "tables": tables,
               "method": repr(method).partition(", surrogate=")[0], "algorithm": ALGORITHM})
    )  # fmt: skip
    try:
        kept = json.loads(path.read_text())
        if kept["recipe"] == recipe:
            return kept
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there, or not whole: it is made
    began = time.perf_counter()
    evaluations = search(method, Evaluations(problem, config.budget), seed)
    seconds = time.perf_counter() - began
    correlations = [note["rank_correlation"] for note in evaluations.notes]
    correlations = [one for one in correlations if np.isfinite(one)]
    result: dict[str, Any] = {
        "recipe": recipe,
        "row": {
            "seed": seed,
            "evaluations": len(evaluations.found),
            "repeats": evaluations.repeats,
            **asdict(quality(evaluations.found, front)),
            "rank_correlation": float(np.mean(correlations)) if correlations else None,
            "seconds": seconds,
        },
        "curve": list(_ratios(evaluations, front)),
        "rounds": [{key: value if np.isfinite(value) else None for key, value in note.items()}
                   for note in evaluations.notes],
        "architectures": [list(one.architecture) for one in evaluations.found],
    }  # fmt: skip
    write_text(path, json.dumps(result) + "\n")
    print(f"{cost} {name} seed {seed}: {result['row']['hypervolume_ratio']:.4f}, {seconds:.1f} s", flush=True)
    return result


def _ratios(evaluations: Evaluations, front: Front) -> Iterator[float]:
    """Share of the exact hypervolume after each evaluation."""
    so_far: list[Evaluated] = []
    last = 0.0
    for one in evaluations.found:
        after = best([*so_far, one])
        if any(member is one for member in after):  # else nothing has changed
            last = hypervolume_of(after) / front.hypervolume
        so_far = after
        yield last


def _mean(values: list[float], confidence: float) -> Interval:
    return spread_over_seeds({(k, 0): Interval(v, v, v) for k, v in enumerate(values)}, confidence).mean


def _summed(config: ArchitectureSearchConfig, rows: list[SearchRow], front: Front) -> MethodRow:
    ratio, points, distance = (
        _mean([float(getattr(row, name)) for row in rows], config.confidence)
        for name in ("hypervolume_ratio", "points_found", "igd_plus")
    )
    correlations = [row.rank_correlation for row in rows if row.rank_correlation is not None]
    return MethodRow(
        cost=rows[0].cost,
        method=rows[0].method,
        n_seeds=len(rows),
        hypervolume_ratio=ratio.estimate,
        hypervolume_ratio_low=ratio.low,
        hypervolume_ratio_high=ratio.high,
        points_found=points.estimate,
        points_found_low=points.low,
        points_found_high=points.high,
        exact_points=len(front.points),
        igd_plus=distance.estimate,
        igd_plus_low=distance.low,
        igd_plus_high=distance.high,
        evaluations=float(np.mean([row.evaluations for row in rows])),
        repeats=float(np.mean([row.repeats for row in rows])),
        rank_correlation=float(np.mean(correlations)) if correlations else None,
        seconds=float(np.mean([row.seconds for row in rows])),
    )


def _curve(config: ArchitectureSearchConfig, cost: str, method: str, curves: list[list[float]]) -> Iterator[CurveRow]:
    for count in range(1, config.budget + 1):
        at = _mean([curve[min(count, len(curve)) - 1] for curve in curves], config.confidence)
        yield CurveRow(cost, method, count, at.estimate, at.low, at.high)


def _draw(table: Path, figures: Path, config: ArchitectureSearchConfig) -> list[Path]:
    def drawn() -> list[Path]:
        from ib_analysis.plots.style import save_all  # matplotlib is slow to import
        from ib_analysis.studies.architecture_search.figure import draw

        return save_all(draw(table, len(config.seeds), config.confidence), figures)

    return draw_unless_drawn(figures, "architecture_search", [table], drawn)
