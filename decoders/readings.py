"""The cells that a decoder is conditioned on, and what reads their activations: what every kind of decoder needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from decoders.config import Cell

__all__ = ["LARGEST", "CellReadings", "Condition", "Conditions", "LayerReading", "weights_of_readings"]

LARGEST = 10.0
"""Standardised activations are clipped to +-10 standard deviations of the training images, as those that probes see.
The read-outs are linear: one unit at 50 deviations, which no training image had, could cost an image hundreds of bits.
Readers squash what is large instead (`decoders.trunk.squashed`). What is read is still a function of the activations
alone, so that code lengths are those of a code, and bounds hold."""


@dataclass(frozen=True)
class Condition:
    """Activations and the cell that they come from, alone or with others beside them.

    Example:
        >>> coins = Condition(torch.zeros(2, 1, 8, 8), "coins")
        >>> both = Condition(torch.zeros(2, 5), "h4", beside=(coins,))
        >>> both.name
        'h4+coins'
        >>> both.map(lambda tensor: tensor[:1]).beside[0].activations.shape
        torch.Size([1, 1, 8, 8])
    """

    activations: Tensor
    """(B, C, h, w) or (B, C), any floating dtype."""
    cell: str
    """Name of the cell."""
    beside: tuple[Condition, ...] = ()
    """Further conditions of the same B images; what is read from them is added to what is read from this one."""

    @property
    def name(self) -> str:
        """All cells that the images are conditioned on, joined by plus signs."""
        return "+".join([self.cell, *(other.name for other in self.beside)])

    def map(self, change: Callable[[Tensor], Tensor]) -> Condition:
        """The condition with all activations changed, those beside it too."""
        beside = tuple(other.map(change) for other in self.beside)
        return dataclasses.replace(self, activations=change(self.activations), beside=beside)


Conditions = Tensor | Condition | Sequence[Condition] | None


_PER_CELL = ("cell_scale", "cell_shift", "adapters")
"""Parameters of a reading that have a row per cell."""
_STANDARDISATION = ("mean", "inverse_deviation")
"""Buffers of a reading that have a row per cell."""
_ENTRIES = "entries."
"""Of the names of modules that a reading has one of per cell."""


class LayerReading(nn.Module):
    """What reads features of the image's size from a layer's activations; cells of the layer are numbered.

    Arguments:
        shape: (C, h, w) or (C,) of the activations.
        n_cells: cells of this layer.
    """

    mean: Tensor
    inverse_deviation: Tensor
    largest: ClassVar[float] = LARGEST
    """Beyond so many training deviations values are clipped."""

    def __init__(self, shape: tuple[int, ...], n_cells: int) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("mean", torch.zeros(n_cells, shape[0]))
        self.register_buffer("inverse_deviation", torch.ones(n_cells, shape[0]))

    def standardised(self, activations: Tensor, cell: int) -> Tensor:
        """Activations of one cell in training standard deviations from the training mean, not clipped yet."""
        axes = (1, -1) + (1,) * (activations.ndim - 2)
        mean, inverse = self.mean[cell].view(axes), self.inverse_deviation[cell].view(axes)
        return (activations.to(self.mean) - mean) * inverse

    def cell_parameters(self) -> list[Any]:
        """The own parameters of every cell; once per minibatch, so that their gradients are dense once."""
        raise TypeError(f"{type(self).__name__} does not say what its cells have of their own")

    def take_cell(self, index: int, source: LayerReading, other: int) -> None:
        """Take over from another layer's reading what all cells share, and cell ``other``'s own for cell ``index``.

        The standardisation stays.
        """
        own = dict(self.named_parameters())
        for key, value in source.named_parameters():
            if key in _PER_CELL:
                own[key][index] = value[other]
            elif not key.startswith(_ENTRIES):
                own[key].copy_(value)

    def read(self, parts: Sequence[tuple[Tensor, int, Any]]) -> Tensor:
        """Activations, numbers and own parameters of cells, whose images follow one another, to (B, filters, H, W)."""
        raise TypeError(f"{type(self).__name__} does not say how it reads")


def _by_layer(cells: Sequence[Cell]) -> dict[str, list[str]]:
    """Layer -> the names of its cells."""
    layers: dict[str, list[str]] = {}
    for cell in cells:
        layers.setdefault(cell.layer, []).append(cell.name)
    return layers


def _places_of(layers: Mapping[str, Sequence[str]]) -> dict[str, tuple[int, int]]:
    """Cell -> number of its layer, and its own within the layer.

    Parameter names may not contain dots, layer names may: modules are numbered.
    """
    return {name: (layer, index) for layer, names in enumerate(layers.values()) for index, name in enumerate(names)}


def weights_of_readings(weights: Mapping[str, Tensor], cells: Sequence[Cell], kept: Sequence[str]) -> dict[str, Tensor]:
    """Of the state dict of `CellReadings` of some cells that of one of fewer.

    Arguments:
        cells: all that it is of, in its order.
        kept: names of those of the other, in its order.

    Raises:
        ValueError: an unknown cell, or one twice.
    """
    known = {cell.name: cell for cell in cells}
    if len(set(kept)) != len(kept) or not set(kept) <= set(known):
        raise ValueError(f"{list(kept)} are not cells of this decoder, each once; it knows {', '.join(known)}")
    before, now = _places_of(_by_layer(cells)), _places_of(_by_layer([known[name] for name in kept]))
    layers = {before[name][0]: now[name][0] for name in kept}
    found = {}
    for key, value in weights.items():
        module, _, rest = key.partition(".")
        number, _, name = rest.partition(".")
        if module != "projections":
            found[key] = value
            continue
        if int(number) not in layers:
            continue
        numbers = [(before[one][1], now[one][1]) for one in kept if before[one][0] == int(number)]
        place = f"projections.{layers[int(number)]}."
        if name in (*_PER_CELL, *_STANDARDISATION):
            rows = sorted(numbers, key=lambda pair: pair[1])
            found[place + name] = value[[old for old, _ in rows]]
        elif name.startswith(_ENTRIES):
            index, _, inner = name.removeprefix(_ENTRIES).partition(".")
            found |= {f"{place}{_ENTRIES}{new}.{inner}": value for old, new in numbers if old == int(index)}
        else:
            found[place + name] = value
    return found


class CellReadings(nn.Module):
    """The cells that a decoder knows, and what reads their layers.

    Arguments:
        cells: all cells.
        make: a layer's shape and its number of cells -> what reads it.
    """

    def __init__(self, cells: Sequence[Cell], make: Callable[[tuple[int, ...], int], LayerReading]) -> None:
        super().__init__()
        self.cells = {cell.name: cell for cell in cells}
        layers = _by_layer(cells)
        self._places = _places_of(layers)
        self.projections = nn.ModuleList(make(self.cells[names[0]].shape, len(names)) for names in layers.values())

    def standardise(self, cell: str, mean: Tensor, std: Tensor) -> None:
        """Set the mean and standard deviation (C,) by which a cell's activations are standardised."""
        layer, index = self._place(cell)
        projection = self._reading(layer)
        if mean.shape != projection.mean[index].shape or std.shape != mean.shape:
            wanted = tuple(projection.mean[index].shape)
            raise ValueError(f"cell {cell!r}: mean and std must be {wanted}, not {mean.shape} and {std.shape}")
        # Dead channels vary by rounding only; dividing by that would turn an exception into an explosion.
        floor = 1e-3 * std.max()
        std = torch.where(std > 0, std.clamp_min(floor), torch.ones_like(std)) if floor > 0 else torch.ones_like(std)
        projection.mean[index].copy_(mean)
        projection.inverse_deviation[index].copy_(1 / std)

    @torch.no_grad()
    def take_cells(self, source: CellReadings) -> None:
        """Take over what another decoder's cells are read by; see `decoders.transfer.take_weights`.

        Raises:
            ValueError: a cell that no cell of the source stands for, or one of another shape.
        """
        for name, (layer, index) in self._places.items():
            known = [other for other, cell in source.cells.items() if cell.layer == self.cells[name].layer]
            if name not in known and len(known) != 1:
                raise ValueError(f"cell {name!r}: {len(known)} cells of the source could stand for it; one is needed")
            other_layer, other = source._places[name if name in known else known[0]]
            ours, theirs = self._reading(layer), source._reading(other_layer)
            if ours.shape != theirs.shape:
                raise ValueError(f"cell {name!r} has activations of {ours.shape}, in the source of {theirs.shape}")
            ours.take_cell(index, theirs, other)

    @torch.no_grad()
    def clipped(self, condition: Sequence[Condition]) -> tuple[int, int]:
        """How many values of the conditions are clipped (`LayerReading.largest`), and how many there are.

        Raises:
            ValueError: unknown cell.
        """
        found = total = 0
        for part in condition:
            layer, index = self._place(part.cell)
            projection = self._reading(layer)
            found += int((projection.standardised(part.activations, index).abs() > projection.largest).sum())
            total += part.activations.numel()
            beside = self.clipped(part.beside)
            found, total = found + beside[0], total + beside[1]
        return found, total

    def read(self, condition: Tensor | Condition | Sequence[Condition]) -> Tensor:
        """What is read of the conditions of a minibatch: (B, filters, H, W).

        Raises:
            ValueError: unknown cell, wrong shape, or conditions beside each other of different numbers of images.
        """
        if isinstance(condition, Tensor):
            if len(self.cells) != 1:
                raise ValueError(f"the decoder has {len(self.cells)} cells: pass a Condition that names one")
            condition = Condition(condition, next(iter(self.cells)))
        parts = (condition,) if isinstance(condition, Condition) else tuple(condition)
        if not parts:
            raise ValueError("an empty sequence of conditions: pass None for the null condition")
        own: dict[int, list[Any]] = {}
        layers = {self._place(part.cell)[0] for part in parts}
        if len(layers) == 1 and not any(part.beside for part in parts):
            layer = layers.pop()
            return self._reading(layer).read([self._entry(part, own) for part in parts])
        found = [self._read_part(part, own) for part in parts]
        return found[0] if len(found) == 1 else torch.cat(found)

    def _read_part(self, part: Condition, own: dict[int, list[Any]]) -> Tensor:
        """One condition with those beside it; `own` keeps the cells' parameters of the layers met so far."""
        features: Tensor = self._reading(self._place(part.cell)[0]).read([self._entry(part, own)])
        for other in part.beside:
            if len(other.activations) != len(part.activations):
                counts = f"{len(other.activations)} images beside {len(part.activations)}"
                raise ValueError(f"conditions {part.name!r} of different images: {counts}")
            features = features + self._read_part(other, own)
        return features

    def _entry(self, part: Condition, own: dict[int, list[Any]]) -> tuple[Tensor, int, Any]:
        """One condition as its layer's reading takes it."""
        layer, index = self._place(part.cell)
        reading = self._reading(layer)
        if tuple(part.activations.shape[1:]) != reading.shape:
            given = tuple(part.activations.shape[1:])
            raise ValueError(f"cell {part.cell!r} has activations of {reading.shape}, not {given}")
        if layer not in own:
            own[layer] = reading.cell_parameters()
        return part.activations, index, own[layer][index]

    def _reading(self, layer: int) -> LayerReading:
        reading = self.projections[layer]
        assert isinstance(reading, LayerReading)
        return reading

    def _place(self, cell: str) -> tuple[int, int]:
        if cell not in self._places:
            raise ValueError(f"unknown cell {cell!r}; the decoder knows {', '.join(self._places)}")
        return self._places[cell]
