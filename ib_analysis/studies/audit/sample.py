"""Which cells are looked at more closely: a stratified sample of tasks and layers with epochs from first to last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ib_analysis.experiment import Fit, cell_name

__all__ = ["SharedCell", "sample_cells"]


@dataclass(frozen=True)
class SharedCell:
    """One cell of a shared decoder."""

    fit: Fit
    epoch: int
    layer: str

    @property
    def name(self) -> str:
        """Its name inside the run."""
        return cell_name(self.epoch, self.layer)

    @property
    def stratum(self) -> tuple[str, str]:
        """Task and layer."""
        assert self.fit.run is not None
        return self.fit.run.task, self.layer


def sample_cells(fits: Sequence[Fit], count: int, seed: int) -> list[SharedCell]:
    """Draw cells: from every task and layer nearly the same number, and epochs spread from first to last.

    A stratum (task, layer) with several cells in the sample has its first and its last epoch and evenly spaced ones
    between. Strata with one cell each share the epochs out among them, so that together they range from first to last.

    Arguments:
        fits: shared decoders.
        count: number of cells, at least 1.
        seed: of the choices that are left to chance; equal seeds give equal samples.

    Returns:
        Different cells, stratum by stratum.

    Raises:
        ValueError: there are fewer cells.
    """
    strata: dict[tuple[str, str], list[SharedCell]] = defaultdict(list)
    for fit in fits:
        for epoch, layer in fit.cells:
            cell = SharedCell(fit, epoch, layer)
            strata[cell.stratum].append(cell)
    total = sum(map(len, strata.values()))
    if not 1 <= count <= total:
        raise ValueError(f"{count} of {total} cells cannot be sampled")
    rng = np.random.default_rng(seed)
    chosen: set[SharedCell] = set()
    sizes = _allocate(list(strata), {key: len(cells) for key, cells in strata.items()}, count, rng)
    lone = [key for key, size in sizes.items() if size == 1]
    for place, key in enumerate(rng.permutation(len(lone))):
        cells = strata[lone[key]]
        epochs = sorted({cell.epoch for cell in cells})
        epoch = epochs[_spread(len(epochs), len(lone))[place]]
        same = [cell for cell in cells if cell.epoch == epoch]
        chosen.add(same[rng.integers(len(same))])
    for key, size in sizes.items():
        if size > 1:
            cells = sorted(strata[key], key=lambda cell: cell.epoch)
            chosen.update(cells[index] for index in _spread(len(cells), size))
    return [cell for cells in strata.values() for cell in cells if cell in chosen]


def _allocate(
    keys: Sequence[tuple[str, str]], populations: dict[tuple[str, str], int], count: int, rng: np.random.Generator
) -> dict[tuple[str, str], int]:
    """Cells per stratum: one each in turn, tasks alternating, layers of a task in random order, until all are given."""
    by_task: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for index in rng.permutation(len(keys)):
        by_task[keys[index][0]].append(keys[index])
    order = sorted(
        ((turn, task, key) for task, members in by_task.items() for turn, key in enumerate(members)),
        key=lambda entry: entry[:2],
    )
    sizes = dict.fromkeys(keys, 0)
    while count:
        for _, _, key in order:
            if count and sizes[key] < populations[key]:
                sizes[key] += 1
                count -= 1
    return sizes


def _spread(population: int, count: int) -> list[int]:
    """``count`` places from the first to the last of ``population``, evenly spaced; different ones if there are enough.

    >>> _spread(6, 3), _spread(3, 5), _spread(5, 1)
    ([0, 3, 5], [0, 1, 1, 2, 2], [2])
    """
    if count == 1:
        return [population // 2]
    steps = count - 1
    return [(2 * index * (population - 1) + steps) // (2 * steps) for index in range(count)]
