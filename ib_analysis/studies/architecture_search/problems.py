"""From a config to the search problems that it names."""

from __future__ import annotations

from pathlib import Path

from ib_analysis.artifacts import UserError
from ib_analysis.data import DataConfig
from ib_analysis.data.root import data_root
from ib_analysis.search.nas_bench_201 import NAS_BENCH_201, architecture_of, macs
from ib_analysis.search.problem import Constraint, Objective, Problem
from ib_analysis.search.space import Choice, Space
from ib_analysis.search.table import TableEvaluator, read_table
from ib_analysis.studies.architecture_search.config import ArchitectureSearchConfig

__all__ = ["problems", "table_paths"]


def table_paths(config: ArchitectureSearchConfig) -> list[Path]:
    """Where the tables are.

    Raises:
        UserError: the data root is none.
    """
    if all(Path(table).is_absolute() for table in config.tables):
        return [Path(table) for table in config.tables]
    root = data_root(DataConfig(root=config.root or None))
    return [root / table for table in config.tables]


def problems(config: ArchitectureSearchConfig) -> dict[str, Problem]:
    """Cost -> its problem, all on one table: those that are searched, then the other devices of a transfer.

    Raises:
        UserError: what `read_table` says of the tables; choices that are no space; a cost that is nowhere above 0.
    """
    costs = tuple(dict.fromkeys((*config.costs, *config.devices)))
    metrics = list(dict.fromkeys((config.accuracy, *costs, *config.limits)))
    known = [name for name in metrics if name != config.accuracy]
    paths = table_paths(config)
    if config.choices:
        space = _space(config)
        table = read_table(paths, space, metrics, device_metrics=known)
    else:
        space = NAS_BENCH_201
        table = read_table(
            paths,
            space,
            metrics,
            architecture_column=config.architecture,
            parse=architecture_of,
            device_metrics=known,
            derived={"macs": macs} if "macs" in metrics else {},
        )
    if len(table) != len(space):
        raise UserError(f"the tables have {len(table)} of the {len(space)} architectures of the space; all are needed.")
    return {cost: _problem(config, space, table, cost) for cost in costs}


def _problem(config: ArchitectureSearchConfig, space: Space, table: TableEvaluator, cost: str) -> Problem:
    accuracy = Objective(config.accuracy, "maximize", config.accuracy_ideal, config.accuracy_reference)
    most = float(table.column(cost).max())
    if float(table.column(cost).min()) < 0 or most == 0:
        raise UserError(f"the cost {cost} must be at least 0 in all rows, and above 0 in some.")
    limits = tuple(
        Constraint(name, "at least" if name == config.accuracy else "at most", limit)
        for name, limit in config.limits.items()
    )
    return Problem(space, (accuracy, Objective(cost, "minimize", 0.0, most)), table, limits)


def _space(config: ArchitectureSearchConfig) -> Space:
    try:
        if unknown := set(config.only_if) - set(config.choices):
            raise ValueError(f"only_if names {', '.join(sorted(unknown))}, which is none of the choices.")
        return Space(
            tuple(
                Choice(
                    name,
                    tuple(options),
                    {other: tuple(needed) for other, needed in config.only_if.get(name, {}).items()},
                )
                for name, options in config.choices.items()
            )
        )
    except ValueError as error:
        raise UserError(f"choices: {error}") from error
