"""Minibatches for decoders: images with the activations of the cells that they are conditioned on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from decoders import Condition, Minibatch
from ib_analysis.activations import Activations, Groups, Part, dataset_name
from ib_analysis.data import ImageData

__all__ = ["CellFeed", "images_in_order"]

CellKey = tuple[int, str]
"""(epoch, layer)"""


def images_in_order(data: ImageData) -> np.ndarray:
    """Decoder images, then evaluation images: the order of activations. Shape (N, C, H, W), uint8."""
    return np.concatenate([data.decoder.images, data.evaluation.images])


def name_of(cell: CellKey) -> str:
    """A cell's name inside its run: that of its dataset.

    >>> name_of((10, "h3"))
    'epoch_0010/h3'
    """
    return dataset_name(*cell)


class CellFeed:
    """Images and activations of one run as decoders take them (`decoders.TrainingData`).

    A minibatch is made of whole groups, each with the activations of one cell drawn at random: so activations are
    read, or recomputed, in exactly the batches in which they were first computed.

    Arguments:
        images: shape (N, C, H, W), uint8, in the order of `images_in_order`.
        groups: which images belong together.
        activations: of the run; None for an unconditional decoder.
        cells: (epoch, layer) of the cells to condition on; empty for an unconditional decoder.
        batch_size: images of a minibatch, a multiple of the group size.
        validation_images: (image, cell) pairs of one validation, at the least.
    """

    def __init__(
        self,
        images: np.ndarray,
        groups: Groups,
        activations: Activations | None,
        cells: Sequence[CellKey],
        batch_size: int,
        validation_images: int,
    ) -> None:
        self._images = torch.from_numpy(np.ascontiguousarray(images))
        self.groups, self._activations, self.cells = groups, activations, tuple(cells)
        self._per_minibatch = max(1, batch_size // groups.group_size)
        self._validation_images = validation_images

    # ------------------------------------------------------------------ for fitting

    def minibatch(self, rng: np.random.Generator) -> Minibatch:
        """Random groups of the training part, each with a random cell."""
        groups = rng.choice(self.groups.part("train"), self._per_minibatch)
        cells = rng.integers(len(self.cells), size=self._per_minibatch) if self.cells else None
        pairs = [(int(group), self.cells[cells[k]] if cells is not None else None) for k, group in enumerate(groups)]
        return self._assemble(pairs)

    def validation(self) -> Iterator[Minibatch]:
        """The same (group, cell) pairs of the validation slice each time.

        Every cell has the same number of groups, at least one, and at least `validation_images` images come together.
        """
        groups = self.groups.part("validation")
        cells: tuple[CellKey | None, ...] = self.cells or (None,)
        pairs: list[tuple[int, CellKey | None]] = []
        count, rounds = 0, 0
        while count < self._validation_images:
            for k, cell in enumerate(cells):
                group = groups[(k + rounds) % len(groups)]  # each round every cell moves on to its next group
                pairs.append((group, cell))
                count += len(range(*self.groups.bounds[group]))
            rounds += 1
        for start in range(0, len(pairs), self._per_minibatch):
            yield self._assemble(pairs[start : start + self._per_minibatch])

    # ------------------------------------------------------------------ for measuring

    def images(self, part: Part) -> Tensor:
        """All images of a part in order: shape (n, C, H, W), uint8."""
        own = self.groups.images(part)
        return self._images[own.start : own.stop]

    def part(self, part: Part, cell: CellKey | None) -> Iterator[Minibatch]:
        """All images of a part in order, under one cell's activations (or none)."""
        groups = self.groups.part(part)
        for start in range(0, len(groups), self._per_minibatch):
            yield self._assemble([(group, cell) for group in groups[start : start + self._per_minibatch]])

    def activations(self, part: Part, cell: CellKey, transform: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """All activations of a part under one cell: shape (n, C, h, w) or (n, C), float16.

        Arguments:
            transform: applied to each group as it is read, so that what it throws away is never held in memory.
        """
        assert self._activations is not None
        found = []
        for group in self.groups.part(part):
            values = self._activations.read(*cell, group).cpu()
            found.append(values if transform is None else transform(values))
        return torch.cat(found)

    def select(self, cell: CellKey, images: Sequence[int]) -> Tensor:
        """Activations of single images (indices among all images), each read with its group."""
        assert self._activations is not None
        found: dict[int, Tensor] = {}
        for group, (start, stop) in enumerate(self.groups.bounds):
            wanted = [index for index in images if start <= index < stop]
            if wanted:
                values = self._activations.read(*cell, group).cpu()
                found |= {index: values[index - start] for index in wanted}
        return torch.stack([found[index] for index in images])

    def channel_statistics(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Mean and standard deviation of each cell's channels over the training part: name -> ((C,), (C,)), float32.

        Summed in float64 group by group, layer after layer within a group, as recomputing is cheapest that way.
        """
        sums: dict[CellKey, Tensor] = {}
        counts: dict[CellKey, int] = {}
        for epoch in sorted({epoch for epoch, _ in self.cells}):
            cells = [cell for cell in self.cells if cell[0] == epoch]
            for group in self.groups.part("train"):
                for cell in cells:
                    assert self._activations is not None
                    values = self._activations.read(*cell, group).double().cpu()
                    values = values.movedim(1, 0).flatten(1)  # (C, everything else)
                    moments = torch.stack([values.sum(1), values.square().sum(1)])
                    sums[cell] = sums[cell] + moments if cell in sums else moments
                    counts[cell] = counts.get(cell, 0) + values.shape[1]
        found = {}
        for cell, (first, second) in sums.items():
            mean = first / counts[cell]
            variance = (second / counts[cell] - mean.square()).clamp_min(0)
            found[name_of(cell)] = (mean.float(), variance.sqrt().float())
        return found

    # ------------------------------------------------------------------ pieces

    def _assemble(self, pairs: Sequence[tuple[int, CellKey | None]]) -> Minibatch:
        bounds = [self.groups.bounds[group] for group, _ in pairs]
        images = torch.cat([self._images[start:stop] for start, stop in bounds])
        if not self.cells or pairs[0][1] is None:
            return Minibatch(images)
        # Groups of one cell stand together: one projection then serves them all.
        conditions: list[Condition] = []
        run: list[Tensor] = []
        for k, (group, cell) in enumerate(pairs):
            assert cell is not None
            assert self._activations is not None
            run.append(self._activations.read(*cell, group))
            if k + 1 == len(pairs) or pairs[k + 1][1] != cell:
                conditions.append(Condition(torch.cat(run), name_of(cell)))
                run = []
        return Minibatch(images, tuple(conditions))
