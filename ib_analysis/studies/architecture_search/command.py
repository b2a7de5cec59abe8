"""`ib search`: run the searches that are missing, tabulate, draw, and print the table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from ib_analysis.artifacts import plain, sha256_of_file, write_text
from ib_analysis.drawn import draw_unless_drawn, show_paths
from ib_analysis.engines.locks import exclusive
from ib_analysis.information.table import write_table
from ib_analysis.search.quality import exact_front
from ib_analysis.studies.architecture_search.config import ArchitectureSearchConfig
from ib_analysis.studies.architecture_search.problems import problems, table_paths
from ib_analysis.studies.architecture_search.rows import CurveRow, FrontRow, MethodRow, RoundRow, SearchRow, TransferRow
from ib_analysis.studies.architecture_search.searching import SearchResult, search_result
from ib_analysis.studies.architecture_search.summary import summary
from ib_analysis.studies.architecture_search.tabulating import curve_rows, front_rows, method_row, round_rows
from ib_analysis.studies.architecture_search.transfer import transfer_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["compare_methods"]


def compare_methods(config: ArchitectureSearchConfig) -> None:
    """Run whatever is missing of a comparison, draw its figures and print its table.

    Writes under ``checkpoints/<name>``: a file per search in ``searches``, from which an interrupted comparison goes
    on, ``searches.csv``, ``architecture_search.csv``, ``curves.csv``, ``rounds.csv``, ``fronts.csv`` and
    ``transfer.csv``; and the figures under ``figures/<name>``.

    Raises:
        UserError: a user's mistake (tables, full disk, another process at work); nothing finished is lost.
    """
    folder, figures = Path(config.checkpoints) / config.name, Path(config.figures) / config.name
    found = problems(config)
    tables = [sha256_of_file(path) for path in table_paths(config)]
    with exclusive(folder / ".lock", str(folder)):
        write_text(folder / "config.yaml", yaml.safe_dump(plain(config), sort_keys=False, width=110))
        exact = {cost: exact_front(problem) for cost, problem in found.items()}
        results: dict[str, dict[str, list[SearchResult]]] = {cost: {} for cost in config.costs}
        for seed in config.seeds:  # seed by seed, so that an interrupted comparison has all methods
            for cost in config.costs:
                for method in config.methods:
                    result = search_result(config, folder, tables, found[cost], exact[cost], method, seed)
                    results[cost].setdefault(method, []).append(result)
        per_method = [(cost, searches) for cost, methods in results.items() for searches in methods.values()]
        rows = [method_row(searches, exact[cost], config.confidence) for cost, searches in per_method]
        write_table(folder / "searches.csv", SearchRow, [one.row for _, searches in per_method for one in searches])
        write_table(folder / "architecture_search.csv", MethodRow, rows)
        curves = [row for _, searches in per_method for row in curve_rows(searches, config.budget, config.confidence)]
        write_table(folder / "curves.csv", CurveRow, curves)
        rounds = [row for _, searches in per_method for row in round_rows(searches, config.confidence)]
        write_table(folder / "rounds.csv", RoundRow, rounds)
        fronts = [row for cost in config.costs for row in front_rows(found[cost], exact[cost], results[cost])]
        write_table(folder / "fronts.csv", FrontRow, fronts)
        transferred = {cost: found[cost] for cost in config.devices or config.costs}
        searched = {cost: methods for cost, methods in results.items() if cost in transferred}
        transfer = list(transfer_rows(transferred, exact, searched, config.confidence))
        write_table(folder / "transfer.csv", TransferRow, transfer)
        show_paths(_draw(folder, figures, config, bool(curves), len(transferred) > 1 and bool(transfer)))
    print()
    print(summary(rows, transfer, {cost: exact[cost].violation for cost in config.costs}, config))


def _draw(
    folder: Path, figures: Path, config: ArchitectureSearchConfig, has_curves: bool, has_transfer: bool
) -> list[Path]:
    """Those figures that there is something to draw in."""

    def drawn() -> list[Path]:
        from ib_analysis.plots.style import save_all  # matplotlib is slow to import
        from ib_analysis.studies.architecture_search import curve_figure, front_figure, transfer_figure

        def all_of_them() -> Iterator[tuple[str, Figure]]:
            if has_curves:
                yield from curve_figure.draw(folder / "curves.csv", len(config.seeds), config.confidence)
            yield from front_figure.draw(folder / "fronts.csv", config.accuracy, config.accuracy_reference)
            if has_transfer:
                yield from transfer_figure.draw(
                    folder / "transfer.csv", folder / "architecture_search.csv", len(config.seeds)
                )

        return save_all(all_of_them(), figures)

    tables = ("curves", "fronts", "transfer", "architecture_search")
    return draw_unless_drawn(figures, "architecture_search", [folder / f"{name}.csv" for name in tables], drawn)
