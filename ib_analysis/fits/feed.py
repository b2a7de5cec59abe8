"""Minibatches for decoders: images with the activations of the cells that they are conditioned on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from decoders import Condition, Minibatch
from ib_analysis.activations import Activations, Groups, Part, dataset_name
from ib_analysis.data import ImageData
from ib_analysis.fits.leak_guard import EvaluationImages, GuardedData, ImageGuard
from ib_analysis.fits.spike_ins import COINS, SpikeIns, Variant

__all__ = ["CellFeed", "Reading", "images_in_order", "name_of", "readings"]

HELD_GIB = 3.0
"""Activations that a fit may hold in memory, if nothing else is said."""
MIXED_CELLS = 4
"""Cells of a mixed minibatch: more would vary its gradient less and cost more."""

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


class Reading(NamedTuple):
    """A cell, and how the decoder gets its activations: as they are, or with the coins of spike-ins.

    >>> Reading((10, "h3")).name, Reading((10, "h3"), "spike_in_mixed").name
    ('epoch_0010/h3', 'epoch_0010/h3_spike_in_mixed')
    """

    cell: CellKey
    variant: Variant = "plain"

    @property
    def name(self) -> str:
        """Name of its code lengths inside its run."""
        return name_of(self.cell) if self.variant == "plain" else f"{name_of(self.cell)}_{self.variant}"

    @property
    def condition(self) -> str:
        """Name of its conditions (`Condition.name`), under which a fit keeps its validations."""
        return f"{name_of(self.cell)}+{COINS}" if self.variant == "spike_in" else self.name


def readings(cells: Sequence[CellKey], spike_ins: SpikeIns | None) -> tuple[Reading, ...]:
    """The cells in order, with spike-ins each in all its variants.

    >>> [reading.name for reading in readings([(0, "h3"), (10, "h3")], None)]
    ['epoch_0000/h3', 'epoch_0010/h3']
    """
    return tuple(
        Reading(cell, variant)
        for cell in cells
        for variant in (("plain",) if spike_ins is None else spike_ins.variants(cell[1]))
    )


class CellFeed:
    """Images and activations of one run as decoders take them (`decoders.TrainingData`).

    A minibatch is made of whole groups, each with the activations of one cell drawn at random (with spike-ins, in one
    of its variants drawn at random): so activations are read, or recomputed, in exactly the batches in which they were
    first computed.

    Arguments:
        images: shape (N, C, H, W), uint8, in the order of `images_in_order`.
        groups: which images belong together.
        activations: of the run; None for an unconditional decoder.
        cells: (epoch, layer) of the cells to condition on; empty for an unconditional decoder.
        batch_size: images of a minibatch, a multiple of the group size.
        validation_images: (image, cell) pairs of one validation, at the least.
        spike_ins: coins that the images show, if any.
        mixed: whether minibatches mix images and cells freely, where the training part's activations fit in memory.
        held_gib: how much of them that is, in GiB.

    Attributes:
        readings: what images are conditioned on: the cells in order, each in all its variants.
    """

    def __init__(
        self,
        images: np.ndarray,
        groups: Groups,
        activations: Activations | None,
        cells: Sequence[CellKey],
        batch_size: int,
        validation_images: int,
        spike_ins: SpikeIns | None = None,
        mixed: bool = False,
        held_gib: float = HELD_GIB,
    ) -> None:
        self._images = torch.from_numpy(np.ascontiguousarray(images))
        self.groups, self._activations, self.cells = groups, activations, tuple(cells)
        self._per_minibatch = max(1, batch_size // groups.group_size)
        self._validation_images = validation_images
        self._spike_ins = spike_ins
        self._batch_size, self._mixed, self._held_bytes = batch_size, mixed, held_gib * 2**30
        self._held: dict[CellKey, Tensor] = {}
        self.readings = readings(self.cells, spike_ins)

    # ------------------------------------------------------------------ for fitting

    def minibatch(self, rng: np.random.Generator) -> Minibatch:
        """Random groups of the training part, each with a random reading, and with new coins if they are redrawn.

        Mixed: random images instead of groups, in equal shares under a few random cells.
        """
        if self._holds_activations:
            return self._mixture(rng)
        groups = rng.choice(self.groups.part("train"), self._per_minibatch)
        drawn = rng.integers(len(self.readings), size=self._per_minibatch) if self.cells else None
        return self._assemble(
            [(int(group), self.readings[drawn[k]] if drawn is not None else None) for k, group in enumerate(groups)],
            rng,
        )

    def validation(self) -> Iterator[Minibatch]:
        """The minibatches of `validation_pairs`."""
        pairs = self.validation_pairs()
        for start in range(0, len(pairs), self._per_minibatch):
            yield self._assemble(pairs[start : start + self._per_minibatch])

    def validation_pairs(self) -> list[tuple[int, Reading | None]]:
        """The same (group, reading) pairs of the validation slice each time.

        Every reading has the same number of groups, at least one, and at least `validation_images` images come
        together. Mixed: at least so many of each reading (if there are), the same ones for all.
        """
        groups = self.groups.part("validation")
        if self._mixed and self.readings:
            sizes = [len(range(*self.groups.bounds[group])) for group in groups]
            # Groups beside a boundary are smaller: as many as it takes.
            enough = int(np.searchsorted(np.cumsum(sizes), self._validation_images)) + 1
            return [(group, reading) for reading in self.readings for group in list(groups)[:enough]]
        readings: tuple[Reading | None, ...] = self.readings or (None,)
        pairs: list[tuple[int, Reading | None]] = []
        count, rounds = 0, 0
        while count < self._validation_images:
            for k, reading in enumerate(readings):
                group = groups[(k + rounds) % len(groups)]  # each round every reading moves on to its next group
                pairs.append((group, reading))
                count += len(range(*self.groups.bounds[group]))
            rounds += 1
        return pairs

    # ------------------------------------------------------------------ for measuring

    def images(self, part: Part) -> Tensor:
        """All images of a part in order: shape (n, C, H, W), uint8."""
        own = self.groups.images(part)
        return self._images[own.start : own.stop]

    def without_coins(self, images: Tensor) -> Tensor:
        """The images with all coins turned to the same side: what is left is the image itself."""
        if self._spike_ins is None:
            return images
        return self._spike_ins.show(images, np.zeros((len(images), len(self._spike_ins.pixels)), dtype=np.uint8))

    def part(self, part: Part, cell: CellKey | None, variant: Variant = "plain") -> Iterator[Minibatch]:
        """All images of a part in order, under one cell's activations (or none)."""
        groups, reading = self.groups.part(part), None if cell is None else Reading(cell, variant)
        for start in range(0, len(groups), self._per_minibatch):
            yield self._assemble([(group, reading) for group in groups[start : start + self._per_minibatch]])

    def activations(self, part: Part, cell: CellKey, transform: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """All activations of a part under one cell: shape (n, C, h, w) or (n, C), float16 or float32.

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
        guard = ImageGuard(self.without_coins(self._images), self._secret, "a decoder")
        sums: dict[CellKey, Tensor] = {}
        counts: dict[CellKey, int] = {}
        for epoch in sorted({epoch for epoch, _ in self.cells}):
            cells = [cell for cell in self.cells if cell[0] == epoch]
            for group in self.groups.part("train"):
                guard(range(*self.groups.bounds[group]), "those that activations are standardised by")
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

    def standardisation(self) -> dict[str, tuple[Tensor, Tensor]]:
        """`channel_statistics`, and those of cells with coins mixed in, whose scales are fixed now."""
        statistics = self.channel_statistics()
        return statistics | self.calibrate_spike_ins(statistics)

    def guarded(self) -> GuardedData:
        """The minibatches, checked: the fit stops at the first evaluation image among them."""
        return GuardedData(self, self._secret, content=self.without_coins)

    @cached_property
    def _secret(self) -> EvaluationImages:
        """The evaluation images, without coins."""
        allowed = torch.cat([self.images("train"), self.images("validation")])
        return EvaluationImages(self.without_coins(self.images("evaluation")), self.without_coins(allowed))

    def calibrate_spike_ins(self, statistics: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, tuple[Tensor, Tensor]]:
        """Fix by how much mixed coins are scaled, from `channel_statistics`; the statistics of the mixed cells.

        Nothing without spike-ins.
        """
        if self._spike_ins is None:
            return {}
        mixed = [reading.cell for reading in self.readings if reading.variant == "spike_in_mixed"]
        return {
            Reading(cell, "spike_in_mixed").condition: self._spike_ins.calibrate(
                name_of(cell), cell[1], *statistics[name_of(cell)]
            )
            for cell in mixed
        }

    @property
    def spike_in_scales(self) -> dict[str, float]:
        """Cell -> the factor of its mixed coins, as far as it is fixed."""
        return {} if self._spike_ins is None else dict(self._spike_ins.scales)

    @property
    def facts(self) -> dict[str, Any]:
        """What is kept beside the record of a fit: the factors of mixed coins, where there are any."""
        return {"spike_in_scales": self.spike_in_scales} if self.spike_in_scales else {}

    # ------------------------------------------------------------------ pieces

    @cached_property
    def _holds_activations(self) -> bool:
        """Whether the training part's activations are held in memory, and mixed freely."""
        if not self._mixed or not self.cells:
            return False
        assert self._activations is not None
        images, (group, *_) = len(self.groups.images("train")), self.groups.part("train")
        held = 0
        for epoch, layer in self.cells:
            size = self._activations.read(epoch, layer, group).element_size()
            held += size * images * math.prod(self._activations.shape(layer))
        return held <= self._held_bytes

    def _mixture(self, rng: np.random.Generator) -> Minibatch:
        """Images in equal shares under up to `MIXED_CELLS` readings."""
        count = min(MIXED_CELLS, len(self.readings), self._batch_size)
        chosen = rng.permutation(len(self.readings))[:count]
        numbers = rng.integers(len(self.groups.images("train")), size=self._batch_size)
        images = self._images[torch.from_numpy(numbers)]
        coins = None if self._spike_ins is None else self._spike_ins.fallen(numbers, rng)
        if coins is not None and self._spike_ins is not None and self._spike_ins.redraw:
            images = self._spike_ins.show(images, coins)
        parts = np.array_split(np.arange(self._batch_size), count)
        conditions = tuple(
            self._read(
                Condition(
                    self._activations_of(self.readings[k].cell)[torch.from_numpy(numbers[part])],
                    name_of(self.readings[k].cell),
                ),
                self.readings[k],
                None if coins is None else coins[part],
            )
            for k, part in zip(chosen, parts, strict=True)
        )
        return Minibatch(images, conditions)

    def _activations_of(self, cell: CellKey) -> Tensor:
        """The training part's activations of a cell, held from the first time on."""
        if cell not in self._held:
            self._held[cell] = self.activations("train", cell)
        return self._held[cell]

    def _assemble(
        self, pairs: Sequence[tuple[int, Reading | None]], rng: np.random.Generator | None = None
    ) -> Minibatch:
        bounds = [self.groups.bounds[group] for group, _ in pairs]
        images = torch.cat([self._images[start:stop] for start, stop in bounds])
        coins: list[np.ndarray | None] = [None] * len(pairs)
        if self._spike_ins is not None:
            fallen = [self._spike_ins.fallen(np.arange(*part), rng) for part in bounds]
            coins = [*fallen]
            if rng is not None and self._spike_ins.redraw:  # else they show them already
                images = self._spike_ins.show(images, np.concatenate(fallen))
        if not self.cells or pairs[0][1] is None:
            return Minibatch(images)
        # Groups of one reading stand together: one projection then serves them all.
        conditions: list[Condition] = []
        run: list[Condition] = []
        for k, (group, reading) in enumerate(pairs):
            assert reading is not None
            run.append(self._condition(group, reading, coins[k]))
            if k + 1 == len(pairs) or pairs[k + 1][1] != reading:
                conditions.append(_joined(run))
                run = []
        return Minibatch(images, tuple(conditions))

    def _condition(self, group: int, reading: Reading, coins: np.ndarray | None) -> Condition:
        assert self._activations is not None
        return self._read(
            Condition(self._activations.read(*reading.cell, group), name_of(reading.cell)), reading, coins
        )

    def _read(self, plain: Condition, reading: Reading, coins: np.ndarray | None) -> Condition:
        """A cell's activations as a reading gives them, of images with these coins."""
        if self._spike_ins is None or coins is None:
            return plain
        return self._spike_ins.condition(plain, reading.cell[1], reading.variant, coins)


def _joined(parts: Sequence[Condition]) -> Condition:
    """Conditions of one reading as one."""
    activations = torch.cat([part.activations for part in parts])
    beside = tuple(_joined(others) for others in zip(*(part.beside for part in parts), strict=True))
    return Condition(activations, parts[0].cell, beside)
