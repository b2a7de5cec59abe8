"""The record of a fit, and its state: all that is needed to go on exactly where it was."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from decoders.fitting.averaging import update_average
from decoders.fitting.flat_parameters import FlatParameters
from decoders.fitting.optimiser import Optimiser
from decoders.fitting.schedule import FittingConfig

__all__ = ["CurvePoint", "Fit", "FitState", "Halfway", "Numbers", "Snapshot"]


@dataclass(frozen=True)
class CurvePoint:
    """One validation of a fit. Code lengths are means in bits per image."""

    step: int
    """Steps done."""
    training_bits: float
    """Of the training minibatches since the last validation, with dropout and the weights of the moment."""
    validation_bits: float
    """Of the validation images given their conditions, with the averaged weights."""
    validation_null_bits: float
    """Of the validation images under the null condition, with the averaged weights."""
    learning_rate: float
    """Of the last step."""
    cell_bits: dict[str, float] = field(default_factory=dict)
    """Of the validation images given their conditions, for the images of each cell by themselves."""


@dataclass(frozen=True)
class Halfway:
    """How a fit ended at half of its steps (`FittingConfig.halfway`); the fit went on from before that cool-down."""

    weights: dict[str, Tensor]
    """The averaged weights of the best validation, as a state dict of the decoder on the CPU."""
    curve: list[CurvePoint]
    """One point per validation, up to half of the steps."""
    best_step: int
    """Step of the best validation."""
    steps_done: int
    """Steps done when it ended: half of the fit's, unless ``patience`` ended it."""
    recoveries: int
    """Recoveries from non-finite numbers, each at the cost of half the learning rate."""


@dataclass
class Fit:
    """The record of a fit."""

    curve: list[CurvePoint]
    """One point per validation."""
    best_step: int
    """Step of the best validation, whose averaged weights the decoder now has."""
    steps_done: int
    """Steps done when the fit ended."""
    early_stopped: bool
    """Whether it ended because of ``patience``."""
    warnings: tuple[str, ...]
    """Names from `fit_warnings`, judged by the mean of all validation images: numbers from a fit with a warning are not
    to be published."""
    cell_warnings: dict[str, tuple[str, ...]]
    """The same for each cell by itself: a decoder may have learned to read one layer and still be learning another."""
    null_warnings: tuple[str, ...]
    """The same for the null condition, which is what matters where it serves as L0."""
    seconds: float
    """Wall-clock time of all sittings together; nothing depends on it."""
    micro_batch: int | None
    """Images that were computed at once where the minibatch did not fit in memory; None if it did."""
    halfway: Halfway | None = field(default=None, compare=False)
    """The other end; None where the fit had none, or stopped before."""


@dataclass
class Numbers:
    """The part of the state that is plain numbers."""

    step: int = 0
    curve: list[CurvePoint] = field(default_factory=list)
    best_step: int = 0
    best_bits: float = float("inf")
    validations_since_best: int = 0
    rate_factor: float = 1.0
    """What the recoveries from non-finite numbers have left of the learning rate."""
    recoveries: int = 0
    training_bits_sum: float = 0.0
    training_steps: int = 0
    micro_batch: int | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Snapshot:
    """A state at one step; its tensors are never changed afterwards."""

    numbers: Numbers
    tensors: dict[str, Tensor]
    """Flat tensors: weights, average, first_moment, second_moment, and best as soon as there is one."""

    def plain(self) -> dict[str, Any]:
        """As lists, dicts, numbers, strings and CPU tensors, for ``torch.load(weights_only=True)``."""
        return {
            "numbers": dataclasses.asdict(self.numbers),
            "tensors": {name: tensor.cpu() for name, tensor in self.tensors.items()},
        }

    def to(self, device: torch.device | str) -> Snapshot:
        """The same with its tensors on another device."""
        return Snapshot(self.numbers, {name: tensor.to(device) for name, tensor in self.tensors.items()})

    @staticmethod
    def from_plain(state: dict[str, Any], device: torch.device) -> Snapshot:
        """The inverse of :meth:`plain`."""
        curve = [CurvePoint(**point) for point in state["numbers"]["curve"]]
        numbers = Numbers(**{**state["numbers"], "curve": curve})
        return Snapshot(numbers, {name: tensor.to(device) for name, tensor in state["tensors"].items()})


class FitState:
    """Weights, their average, the optimiser's moments and the numbers of a fit, and how a step changes them.

    Args:
        flat: the decoder's parameters.
        config: the settings of the fit.
    """

    def __init__(self, flat: FlatParameters, config: FittingConfig) -> None:
        self.flat = flat
        self.numbers = Numbers()
        self.best: Tensor | None = None
        self._config = config
        self._optimiser = Optimiser(flat, config)
        self.average = flat.weights.detach().clone()

    def update(self, learning_rate: float, gradient_norm: float) -> None:
        """Take one step along the clipped gradient in ``flat``, and the new weights into the average."""
        clip = self._config.gradient_clip
        if clip is not None and gradient_norm > clip:
            self.flat.gradient.mul_(clip / gradient_norm)
        self._optimiser.step(learning_rate)
        self.numbers.step += 1
        weights = self.flat.weights.detach()
        update_average(self.average, weights, self.numbers.step, self._config.averaging, self._config.averaging_power)

    def snapshot(self) -> Snapshot:
        """A copy of the state."""
        tensors = {
            "weights": self.flat.weights.detach().clone(),
            "average": self.average.clone(),
            "first_moment": self._optimiser.first_moment.clone(),
            "second_moment": self._optimiser.second_moment.clone(),
        }
        if self.best is not None:
            tensors["best"] = self.best
        return Snapshot(copy.deepcopy(self.numbers), tensors)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot."""
        self.numbers = copy.deepcopy(snapshot.numbers)
        self.flat.weights.data.copy_(snapshot.tensors["weights"])
        self.average.copy_(snapshot.tensors["average"])
        best = snapshot.tensors.get("best")
        self.best = None if best is None else best.to(self.average.device)
        moments = (snapshot.tensors["first_moment"], snapshot.tensors["second_moment"])
        self._optimiser.set_moments(*moments, self.numbers.step)
