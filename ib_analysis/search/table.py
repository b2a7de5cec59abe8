"""Evaluations that others have made: a table with a row per architecture."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ib_analysis.artifacts import UserError, sha256_of_plain
from ib_analysis.search.problem import Metrics
from ib_analysis.search.space import Architecture, Space

__all__ = ["TableEvaluator", "read_table"]


class TableEvaluator:
    """Looks metrics up.

    Arguments:
        table: architecture -> metrics, the same names for all.
        device_metrics: names of those that a search may know before it evaluates.

    Raises:
        ValueError: an empty table, rows with different metrics, or an unknown device metric.
    """

    def __init__(self, table: Mapping[Architecture, Metrics], device_metrics: Sequence[str] = ()) -> None:
        if not table:
            raise ValueError("a table needs at least one row.")
        self._table = dict(table)
        self.metrics: tuple[str, ...] = tuple(next(iter(self._table.values())))
        self.device_metrics: tuple[str, ...] = tuple(device_metrics)
        if any(set(metrics) != set(self.metrics) for metrics in self._table.values()):
            raise ValueError("all rows of a table need the same metrics.")
        if unknown := set(device_metrics) - set(self.metrics):
            raise ValueError(f"there is no metric {', '.join(sorted(unknown))} in the table.")

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[Architecture]:
        return iter(self._table)

    @property
    def identity(self) -> str:
        """Letters that two tables share only if their rows and metrics are the same, in any order."""
        rows = [[list(architecture), sorted(metrics.items())] for architecture, metrics in sorted(self._table.items())]
        return sha256_of_plain({"rows": rows, "device_metrics": list(self.device_metrics)})[:16]

    def evaluate(self, architecture: Architecture) -> Metrics:
        """The row of an architecture.

        Raises:
            UserError: it has none.
        """
        try:
            return self._table[architecture]
        except KeyError:
            raise UserError(f"the table has no row for the architecture {architecture} of the space.") from None

    def device(self, architecture: Architecture) -> Metrics:
        """The device metrics of an architecture."""
        metrics = self.evaluate(architecture)
        return {name: metrics[name] for name in self.device_metrics}

    def column(self, metric: str) -> NDArray[np.float64]:
        """Shape (rows,): one metric of all rows."""
        return np.array([metrics[metric] for metrics in self._table.values()], dtype=np.float64)


def read_table(
    paths: Sequence[Path],
    space: Space,
    metrics: Sequence[str],
    *,
    architecture_column: str | None = None,
    parse: Callable[[str], Architecture] | None = None,
    device_metrics: Sequence[str] = (),
    derived: Mapping[str, Callable[[Architecture], float]] | None = None,
) -> TableEvaluator:
    """Read CSV files into one table.

    Arguments:
        paths: files with a header; a metric may be in any of them, an architecture must be in all.
        space: what the rows are architectures of; not all of it needs to be there.
        metrics: names of columns.
        architecture_column: the column that names an architecture; None: there is a column per choice, named like it,
            empty where the choice is not there.
        parse: from what stands in `architecture_column`.
        device_metrics: as for `TableEvaluator`.
        derived: further metrics, computed from the architecture.

    Raises:
        UserError: a file cannot be read, columns are missing or there twice, a row has more or fewer fields than the
            header, a number is none, an architecture is not of the space, is there twice or not in all files.
    """
    if (architecture_column is None) != (parse is None):
        raise ValueError("architecture_column and parse belong together.")
    derived = derived or {}
    by_column = [name for name in metrics if name not in derived]
    table: dict[Architecture, dict[str, float]] = {}
    found: set[str] = set()
    for number, path in enumerate(paths):
        columns, rows = _rows(path)
        keys = [choice.name for choice in space.choices] if architecture_column is None else [architecture_column]
        if missing := [name for name in keys if name not in columns]:
            raise UserError(f"{path} has no column {', '.join(missing)}, which names its architectures.")
        here = [name for name in by_column if name in columns]
        if twice := found & set(here):
            raise UserError(f"the column {', '.join(sorted(twice))} is in several tables; keep one of them.")
        found |= set(here)
        seen: set[Architecture] = set()
        for line, row in rows:
            place = f"{path}, line {line}"
            try:
                architecture = parse(row[keys[0]]) if parse else _of_columns(space, row)
                values = {name: float(row[name]) for name in here}
            except (ValueError, TypeError, AttributeError) as error:
                raise UserError(f"{place}: {error}") from error
            if architecture in seen:
                raise UserError(f"{place}: this architecture has a row already; keep one of them.")
            if not all(map(math.isfinite, values.values())):
                raise UserError(f"{place}: a metric is not finite.")
            seen.add(architecture)
            if number and architecture not in table:
                raise UserError(f"{place}: this architecture is not in {paths[0]}.")
            table.setdefault(architecture, {}).update(values)
        if len(seen) != len(table):
            raise UserError(f"{path} has {len(seen)} of the {len(table)} architectures of {paths[0]}; all must agree.")
    if missing := [name for name in by_column if name not in found]:
        raise UserError(f"there is no column {', '.join(missing)} in {', '.join(map(str, paths))}.")
    if not table:
        raise UserError(f"{', '.join(map(str, paths))}: there are no rows.")
    for architecture, values in table.items():
        values.update({name: float(compute(architecture)) for name, compute in derived.items()})
    return TableEvaluator(table, device_metrics)


def _rows(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The header, and each row with its line; a mark of byte order, as spreadsheets write it, is no part of a name."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            columns = next(reader, [])
            lines = [(reader.line_num, fields) for fields in reader if fields]  # blank lines are no rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"the table {path} cannot be read ({getattr(error, 'strerror', None) or error}).") from error
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise UserError(f"{path} has the column {', '.join(map(repr, twice))} more than once; give each name once.")
    for line, fields in lines:
        if len(fields) != len(columns):
            raise UserError(
                f"{path}, line {line}: {len(fields)} fields, and the header names {len(columns)}; a comma is no "
                "decimal point, and one within a name needs quotation marks."
            )
    return columns, [(line, dict(zip(columns, fields, strict=True))) for line, fields in lines]


def _of_columns(space: Space, row: Mapping[str, str]) -> Architecture:
    """Options are known by how they are written."""
    values = {}
    for choice in space.choices:
        written = row[choice.name]
        if written != "":
            spelled = {str(option): option for option in choice.options}
            values[choice.name] = spelled.get(written, written)
    return space.architecture(values)
