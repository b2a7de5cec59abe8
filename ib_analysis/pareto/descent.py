"""Train any torch model towards the Pareto point of a preference: `EPODescent`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ib_analysis.pareto.direction import Bounds, find_direction
from ib_analysis.pareto.gradients import gradient_rows
from ib_analysis.pareto.weighting import EPOWeighting, Mode

__all__ = ["EPODescent", "EPOStep"]

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class EPOStep:
    """What was done in one step."""

    losses: Vector
    """Shape (m,), before the step."""

    weights: Vector
    """What each loss' gradient was multiplied by, shape (m,)."""

    multipliers: Vector
    """What each constraint's gradient was multiplied by, equalities first, shape (k,)."""

    mode: Mode
    """Whether the weights balance or descend."""

    non_uniformity: float
    """mu of the losses, in the unit of the weighting's form."""


class EPODescent:
    """Weights a model's losses in every step and writes ``.grad``, for any torch optimizer that takes its steps from
    there; not LBFGS, which computes the losses anew within a step.

    A step takes one backward pass per loss and constraint. The graph of the forward pass is freed by the last of them;
    kept meanwhile are a gradient per loss and parameter, of which only the (m, m) Gram matrix leaves the device. The
    forward pass runs once, so that batch normalisation and dropout work as always.

    Arguments:
        optimizer: its parameters that require a gradient are trained.
        weighting: see `EPOWeighting`.
        shared: parameters by whose gradients losses are weighed; by default all of the optimizer's. Parameters that
            only one loss depends on (a task's head) shift weight between tasks little, and leaving them out is common.
            Constraints are kept by all parameters whichever these are.
        scale: the sum of the weights (of form "linear"); by default m, as in the paper's networks, so that a learning
            rate for the sum of the losses fits.
        restoration: at what rate constraints are restored, per unit of the optimizer's step: after a plain gradient
            step of learning rate s their values are (1 - s restoration) of what they were. By default 1 / learning rate
            of the first group, all at once.
        bounds: a box that the parameters are kept in by `step`; tensors in it are in the order of the optimizer's
            parameters. Who calls `backward` and steps alone calls ``bounds.clamp_(descent.parameters)`` afterwards.

    Raises:
        ValueError: a setting is out of its range, a shared parameter is not the optimizer's, the optimizer is none,
            needs a closure or maximises, or the box is not one of its parameters.

    >>> x = torch.linspace(-0.3, 0.3, 20, requires_grad=True)
    >>> descent = EPODescent(torch.optim.SGD([x], lr=0.05), EPOWeighting([3.0, 1.0]))
    >>> for _ in range(100):
    ...     losses = 1 - torch.exp(-torch.stack([(x - 20**-0.5).square().sum(), (x + 20**-0.5).square().sum()]))
    ...     done = descent.step(losses)
    >>> round(float(3 * done.losses[0] / done.losses[1]), 1)
    1.0
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        weighting: EPOWeighting,
        *,
        shared: Iterable[Tensor] | None = None,
        scale: float | None = None,
        restoration: float | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        if not isinstance(weighting, EPOWeighting):
            raise ValueError(f"The weighting is {weighting!r}; give an EPOWeighting of the preference.")
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise ValueError(
                f"The optimizer is of type {type(optimizer).__name__}; give a torch optimizer, such as SGD."
            )
        if any(group.get("maximize") for group in optimizer.param_groups):
            raise ValueError(
                "The optimizer maximises, and weights are chosen for losses that fall; leave maximize out."
            )
        closure = inspect.signature(optimizer.step).parameters.get("closure")
        if closure is not None and closure.default is closure.empty:
            raise ValueError(
                f"{type(optimizer).__name__} computes the losses anew within a step, and weights are those of one "
                "forward pass; choose an optimizer that needs no closure, such as SGD or Adam."
            )
        self.optimizer, self.weighting = optimizer, weighting
        self.parameters = _trained(optimizer)
        places = {id(parameter): place for place, parameter in enumerate(self.parameters)}
        chosen = self.parameters if shared is None else list(shared)
        if not chosen:
            raise ValueError("There is no shared parameter to train.")
        if any(id(parameter) not in places for parameter in chosen):
            raise ValueError("A shared parameter is not among those that the optimizer trains.")
        self._shared = list(dict.fromkeys(places[id(parameter)] for parameter in chosen))
        self.scale = float(len(weighting.preference)) if scale is None else scale
        if not 0 < self.scale < math.inf or (restoration is not None and not 0 < restoration < math.inf):
            raise ValueError("scale and restoration must be finite and greater than 0.")
        self.restoration, self.bounds = restoration, bounds
        if bounds is not None:
            bounds.check(self.parameters)

    def backward(
        self,
        losses: Tensor | Sequence[Tensor],
        *,
        equalities: Sequence[Tensor] = (),
        inequalities: Sequence[Tensor] = (),
    ) -> EPOStep:
        """Replace ``.grad`` of the parameters by the direction of the step.

        Arguments:
            losses: m positive scalars, as a tensor (m,) or a sequence.
            equalities: scalars that are to be 0.
            inequalities: scalars that are to be at most 0, for instance a loss minus its budget.

        Returns:
            See `EPOStep`.

        Raises:
            ValueError: in one sentence: a loss is not positive, a gradient is not finite, a scalar has no graph, or the
                optimizer trains other parameters than it did. The weighting is then as before the call.
        """
        if [id(parameter) for parameter in _trained(self.optimizer)] != [id(p) for p in self.parameters]:
            raise ValueError(
                "The optimizer trains other parameters than when this was made (some were frozen, freed or added); "
                "make a new EPODescent, which may have the same weighting."
            )
        known = {name: buffer.clone() for name, buffer in self.weighting.named_buffers()}
        try:
            return self._backward(losses, equalities, inequalities)
        except ValueError:
            for name, buffer in self.weighting.named_buffers():
                buffer.copy_(known[name])
            raise

    def _backward(
        self, losses: Tensor | Sequence[Tensor], equalities: Sequence[Tensor], inequalities: Sequence[Tensor]
    ) -> EPOStep:
        equalities, inequalities = _scalars(equalities, "equalities"), _scalars(inequalities, "inequalities")
        rows_of = [*_scalars(losses, "losses"), *equalities, *inequalities]
        n_constraints = len(equalities) + len(inequalities)
        n_losses = len(rows_of) - n_constraints
        values = torch.stack([value.detach().to("cpu", torch.float64).reshape(-1).sum() for value in rows_of]).numpy()
        self.weighting.set_losses(values[:n_losses])
        if not np.isfinite(values).all():
            raise ValueError("The value of a constraint is not finite.")
        rows = gradient_rows(rows_of, self.parameters, n_losses)
        found = find_direction(
            lambda gramian: self.scale * self.weighting.weights(gramian),
            rows,
            n_losses,
            wanted=self._rate() * values[n_losses:] if n_constraints else values[n_losses:],
            n_equalities=len(equalities),
            parameters=self.parameters,
            bounds=self.bounds,
            measured=self._shared if len(self._shared) < len(self.parameters) else None,
        )
        for parameter, gradient in zip(self.parameters, found.gradient, strict=True):
            parameter.grad = gradient
        mode = self.weighting.mode
        assert mode is not None
        return EPOStep(values[:n_losses], found.weights, found.multipliers, mode, self.weighting.non_uniformity)

    def step(
        self,
        losses: Tensor | Sequence[Tensor],
        *,
        equalities: Sequence[Tensor] = (),
        inequalities: Sequence[Tensor] = (),
    ) -> EPOStep:
        """`backward`, a step of the optimizer, and back into the box.

        Arguments, returned and raised: as for `backward`.
        """
        done = self.backward(losses, equalities=equalities, inequalities=inequalities)
        self.optimizer.step()
        if self.bounds is not None:
            self.bounds.clamp_(self.parameters)
        return done

    def _rate(self) -> float:
        if self.restoration is not None:
            return self.restoration
        learning_rate = float(self.optimizer.param_groups[0]["lr"])
        return 1 / learning_rate if learning_rate > 0 else 0.0


def _trained(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]


def _scalars(values: object, what: str) -> list[Tensor]:
    """Tensors from what a user gave as losses or constraints."""
    found: list[object] | None = None
    if isinstance(values, Tensor) and values.ndim:
        found = list(values.unbind())
    elif isinstance(values, Sequence) and not isinstance(values, str):
        found = list(values)
    if found is None or not all(isinstance(value, Tensor) for value in found):
        raise ValueError(f"What was given as {what} is no list of tensors; put single ones in brackets, as in [loss].")
    return [value for value in found if isinstance(value, Tensor)]
