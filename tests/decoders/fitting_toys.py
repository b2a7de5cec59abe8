"""A decoder whose best code lengths are known in closed form, and data for it: oracles of the fitting tests."""

from __future__ import annotations

import copy
import dataclasses
import io
import types

import numpy as np
import torch
from torch import Tensor, nn

from decoders.config import Cell, ImageSpace
from decoders.dropout import Dropout
from decoders.fitting.fit import FittingConfig, Minibatch
from decoders.readings import Condition

IMAGE = ImageSpace(channels=1, height=2, width=2, intensities=3)
CELLS = (Cell("epoch_0000/h3", "h3", (2,)), Cell("epoch_0001/h3", "h3", (3,)))


LONG = FittingConfig(
    steps=400,
    learning_rate=0.1,
    betas=(0.9, 0.99),
    cooldown_share=0.3,
    validate_every=40,
    save_every=50,
    null_share=0.2,
)
SHORT = dataclasses.replace(LONG, steps=47, validate_every=10, save_every=7, cooldown_share=0.0)


class IndependentPixels(nn.Module):
    """Every pixel has a categorical distribution of its own, linear in the activations of a cell.

    Given one-hot activations its best mean code length is the sum of the pixels' empirical entropies given the
    class; under the null condition it is the sum of their empirical entropies.
    """

    def __init__(self, cells: tuple[Cell, ...] = (), dropout: float = 0.0, limit: int | None = None) -> None:
        super().__init__()
        self.config = types.SimpleNamespace(image=IMAGE, cells=cells)
        self.outputs = IMAGE.channels * IMAGE.height * IMAGE.width * IMAGE.intensities
        self.limit = limit
        self.null = nn.Parameter(torch.zeros(self.outputs))
        self.linear = nn.ModuleDict(
            {cell.name.replace("/", "_"): nn.Linear(cell.shape[0], self.outputs) for cell in cells}
        )
        self.dropout = nn.Sequential(Dropout(dropout), Dropout(dropout))
        self.largest_batch = 0
        self.initialised_with: list[int] = []

    def forward(self, condition: tuple[Condition, ...] | None = None, null_mask: Tensor | None = None):
        logits = self.null[None]
        if condition is not None:
            own = [self.linear[part.cell.replace("/", "_")](part.activations) for part in condition]
            logits = torch.cat(own)
            if null_mask is not None:
                logits = torch.where(null_mask[:, None], self.null, logits)
        return types.SimpleNamespace(log_prob=lambda x: self._log_prob(logits, x))

    def _log_prob(self, logits: Tensor, x: Tensor) -> Tensor:
        self.largest_batch = max(self.largest_batch, len(x))
        if self.limit is not None and len(x) > self.limit:
            raise torch.OutOfMemoryError("the toy is full")
        logits = self.dropout(logits.expand(len(x), -1))
        log_p = logits.unflatten(1, (*x.shape[1:], IMAGE.intensities)).log_softmax(-1)
        return log_p.gather(-1, x.long()[..., None])[..., 0].flatten(1).sum(1)

    def initialise(self, x: Tensor, condition: object = None, null_mask: object = None) -> None:
        if self.limit is not None and len(x) > self.limit:
            raise torch.OutOfMemoryError("the toy is full")
        self.initialised_with.append(len(x))


class ToyData:
    """Images whose pixels depend on a class; minibatches of random images, or of all of them.

    Arguments:
        cells: the first half of every minibatch has a condition of the first cell, the rest of the second.
        batch_size: None takes all images each time, which makes the empirical entropy the exact optimum.
        n_training: train on so many of the images only, so that the fit gets worse on the others.
    """

    def __init__(self, cells: tuple[Cell, ...] = (), batch_size: int | None = None, n_training: int = 48) -> None:
        n = 48
        self.n_training = n_training
        rng = np.random.default_rng(5)
        self.labels = np.stack([rng.integers(2, size=n), rng.integers(3, size=n)])
        noise = rng.random((n, 1, 2, 2)) < 0.3
        pixels = np.where(noise, rng.integers(3, size=(n, 1, 2, 2)), (self.labels.sum(0) % 3)[:, None, None, None])
        self.images = torch.tensor(pixels, dtype=torch.uint8)
        self.cells, self.batch_size = cells, batch_size
        self.dtype = torch.get_default_dtype()

    def take(self, index: np.ndarray) -> Minibatch:
        if not self.cells:
            return Minibatch(self.images[index])
        conditions = []
        for number, part in enumerate(np.array_split(index, len(self.cells))):
            cell = self.cells[number]
            one_hot = np.eye(cell.shape[0])[self.labels[number][part]]
            conditions.append(Condition(torch.tensor(one_hot, dtype=self.dtype), cell.name))
        return Minibatch(self.images[index], tuple(conditions))

    def minibatch(self, rng: np.random.Generator) -> Minibatch:
        everything = np.arange(self.n_training)
        return self.take(everything if self.batch_size is None else rng.choice(everything, self.batch_size, False))

    def validation(self) -> list[Minibatch]:
        if not self.cells:
            return [self.take(part) for part in np.array_split(np.arange(len(self.images)), 3)]
        return [self.take(np.arange(len(self.images)))]

    def entropies_bits(self) -> tuple[float, float]:
        """Mean over the images of the best code length: given the conditions, and under the null condition."""
        pixels = self.images.flatten(1).numpy()
        parts = np.array_split(np.arange(len(pixels)), max(1, len(self.cells)))
        conditional = 0.0
        for number, part in enumerate(parts):
            labels = self.labels[number][part] if self.cells else np.zeros(len(part), int)
            conditional += sum(
                len(group) * sum(_entropy_bits(column) for column in group.T)
                for group in (pixels[part][labels == label] for label in np.unique(labels))
            )
        return conditional / len(pixels), sum(_entropy_bits(column) for column in pixels.T)


class Poisoned:
    """Data whose minibatch of one step has activations that are not a number, the first ``times`` times."""

    def __init__(self, data: ToyData, seed: int, step: int, times: int = 1) -> None:
        self.data, self.times = data, times
        self.first_draw = np.random.default_rng((seed, step)).random()
        self.validation = data.validation

    def minibatch(self, rng: np.random.Generator) -> Minibatch:
        draw = np.random.default_rng()
        draw.bit_generator.state = rng.bit_generator.state
        minibatch = self.data.minibatch(rng)
        if draw.random() == self.first_draw and self.times:
            self.times -= 1
            bad = [dataclasses.replace(c, activations=c.activations * torch.nan) for c in minibatch.condition]
            return dataclasses.replace(minibatch, condition=tuple(bad))
        return minibatch


class Memory:
    """A checkpoint that stores what ``torch.load(weights_only=True)`` can read back."""

    def __init__(self) -> None:
        self.stored: bytes | None = None
        self.saves: list[int] = []

    def save(self, state: dict) -> None:
        file = io.BytesIO()
        torch.save(state, file)
        self.stored = file.getvalue()
        self.saves.append(state["numbers"]["step"])

    def load(self) -> dict | None:
        return None if self.stored is None else torch.load(io.BytesIO(self.stored), weights_only=True)


def parameters_of(decoder: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(decoder.state_dict())


def _entropy_bits(values: np.ndarray) -> float:
    share = np.unique(values, return_counts=True)[1] / len(values)
    return float(-(share * np.log2(share)).sum())
