"""From a Gram matrix of task gradients to weights of tasks: `EPOWeighting`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from ib_analysis.pareto.linear_program import balance_program, descent_program, solve_on_simplex
from ib_analysis.pareto.preferences import (
    checked_losses,
    checked_preference,
    non_uniformity,
    rotation_anchor,
    rotation_non_uniformity,
)
from ib_analysis.pareto.quadratic_program import bounded_quadratic, shortest_combination

__all__ = ["EPOWeighting", "Form", "Mode"]

Form = Literal["linear", "quadratic"]
Mode = Literal["balance", "descent"]
MODES: tuple[Mode, ...] = get_args(Mode)

ROUNDING = 1e-6
"""Of a Gram matrix in single precision, relative to its largest entry: with as much on its diagonal it is definite."""


class EPOWeighting(nn.Module):
    """Weights of tasks whose weighted gradient leads to the Pareto point of a preference: r_1 l_1 = ... = r_m l_m.

    Far from the ray of the preference (non-uniformity mu above `tolerance`) the weights *balance*: the losses turn
    towards the ray, while the largest r_j l_j does not rise. Near it they *descend*: all losses fall.

    The module is a weighting as torchjd has them: it takes a Gram matrix, and can be handed to
    ``torchjd.aggregation.GramianWeightedAggregator``, or its weights to ``losses.backward(weights)``. The losses come
    by `set_losses`. Preference, losses, mode and counters are buffers, so that ``state_dict`` keeps them.

    References:
        Mahapatra & Rajan, Multi-task learning with user preferences: gradient descent with controlled ascent in Pareto
        optimization, ICML 2020 (form "linear"); Mahapatra & Rajan, arXiv 2108.00597 (form "quadratic").

    Arguments:
        preference: r, shape (m,), positive; only ratios matter.
        form: "linear" solves a linear program over the simplex: no weight is negative and their sum is 1. "quadratic"
            minimises |C beta - a|^2 over beta in [-1, 1]^m, whose weights may be negative; the largest r_j l_j may rise
            where the bounds bind.
        tolerance: non-uniformity (of the form's own kind: Kullback-Leibler in nats, or 1 - cos^2) up to which the
            weights descend. Losses tend to end at its edge: two r_j l_j differ by sqrt(8 tolerance), 3 % for 1e-4.
        restricted: of form "linear": whether descent also keeps the losses from leaving the ray. Where that has no
            solution the unrestricted program is solved and `relaxations` counts it.
        average: share of the losses so far that is kept when new ones are set, from 0 to below 1. Losses of single
            batches are noisy, and noise looks like non-uniformity: 0.9 goes well with small batches.

    Attributes:
        mode: "balance" or "descent", of the last call; None before.
        non_uniformity: mu of the losses that were set last; nan before.
        fallbacks: how often no weights were found and r / sum(r) was given instead.
        relaxations: how often the program as it stands had no solution, so that a row of it was dropped or, where
            gradients cancel but for rounding, the shortest combination of them was taken.
        balance_steps, descent_steps: how often each happened.

    >>> weighting = EPOWeighting([3.0, 1.0])
    >>> weighting.set_losses(torch.tensor([1.0, 1.0]))
    >>> weighting(torch.eye(2))  # the first loss is the larger one, weighted by its preference: it is to fall
    tensor([1., 0.])
    >>> weighting.mode, round(weighting.non_uniformity, 3)
    ('balance', 0.131)
    """

    preference: Tensor
    losses: Tensor
    counters: Tensor
    last_mode: Tensor

    def __init__(
        self,
        preference: ArrayLike | Tensor,
        *,
        form: Form = "linear",
        tolerance: float = 1e-4,
        restricted: bool = True,
        average: float = 0.0,
    ) -> None:
        super().__init__()
        r = checked_preference(_array(preference))
        self.register_buffer("preference", torch.from_numpy(r))
        self.register_buffer("losses", torch.full((len(r),), float("nan"), dtype=torch.float64))
        self.register_buffer("counters", torch.zeros(4, dtype=torch.int64))
        self.register_buffer("last_mode", torch.tensor(-1))
        self.form = form
        self.tolerance = tolerance
        self.restricted = restricted
        self.average = average

    # ------------------------------------------------------------------ settings and state

    @property
    def form(self) -> Form:
        """Which program is solved."""
        return self._form

    @form.setter
    def form(self, value: Form) -> None:
        if value not in get_args(Form):
            raise ValueError(f"form is {value!r}; it must be one of {', '.join(get_args(Form))}.")
        self._form = value

    @property
    def tolerance(self) -> float:
        """Non-uniformity up to which the weights descend."""
        return self._tolerance

    @tolerance.setter
    def tolerance(self, value: float) -> None:
        if not value > 0:
            raise ValueError(f"tolerance is {value}; it must be greater than 0.")
        self._tolerance = value

    @property
    def average(self) -> float:
        """Share of the losses so far that is kept when new ones are set."""
        return self._average

    @average.setter
    def average(self, value: float) -> None:
        if not 0 <= value < 1:
            raise ValueError(f"average is {value}; it must be at least 0 and below 1.")
        self._average = value

    def set_preference(self, preference: ArrayLike | Tensor) -> None:
        """Ask for another point; counters go on.

        Raises:
            ValueError: it is no preference, or has another number of entries.
        """
        r = checked_preference(_array(preference))
        if len(r) != len(self.preference):
            raise ValueError(f"The preference has {len(r)} entries; this weighting has {len(self.preference)} losses.")
        self.preference.copy_(torch.from_numpy(r))

    def set_losses(self, losses: ArrayLike | Tensor) -> None:
        """The losses whose gradients the next Gram matrix is of.

        Arguments:
            losses: shape (m,), positive; a tensor is detached.

        Raises:
            ValueError: in one sentence: their number is wrong, or one is negative, zero or not finite.
        """
        values = torch.from_numpy(checked_losses(_array(losses), len(self.preference))).to(self.losses.device)
        known = not bool(self.losses.isnan().any())
        self.losses.copy_(self.average * self.losses + (1 - self.average) * values if known else values)

    def reset(self) -> None:
        """Forget losses, mode and counters."""
        self.losses.fill_(float("nan"))
        self.counters.zero_()
        self.last_mode.fill_(-1)

    @property
    def mode(self) -> Mode | None:
        index = int(self.last_mode)
        return MODES[index] if index >= 0 else None

    @property
    def balance_steps(self) -> int:
        return int(self.counters[0])

    @property
    def descent_steps(self) -> int:
        return int(self.counters[1])

    @property
    def relaxations(self) -> int:
        return int(self.counters[2])

    @property
    def fallbacks(self) -> int:
        return int(self.counters[3])

    @property
    def non_uniformity(self) -> float:
        losses = self.losses.cpu().numpy()
        if np.isnan(losses).any():
            return float("nan")
        measure = non_uniformity if self.form == "linear" else rotation_non_uniformity
        return measure(losses, self.preference.cpu().numpy())

    # ------------------------------------------------------------------ weights

    def forward(self, gramian: Tensor, /) -> Tensor:
        """Weights of the tasks.

        Arguments:
            gramian: inner products of the gradients of the losses, shape (m, m).

        Returns:
            Shape (m,), of the Gram matrix' type and device, without a graph; add -weights times gradients.

        Raises:
            ValueError: `set_losses` was not called, the shape is wrong, or a number is not finite.
        """
        found = self.weights(gramian.detach().to("cpu", torch.float64).numpy())
        return torch.from_numpy(found).to(gramian)

    def weights(self, gramian: NDArray[np.float64]) -> NDArray[np.float64]:
        """`forward` for arrays."""
        r, losses = self.preference.cpu().numpy(), self.losses.cpu().numpy()
        if gramian.shape != (len(r), len(r)):
            raise ValueError(
                f"The Gram matrix has shape {gramian.shape}; for {len(r)} losses it must be square of that."
            )
        if np.isnan(losses).any():
            raise ValueError("The weighting has no losses yet; call set_losses() before each Gram matrix.")
        check_finite(gramian)
        # Only relative size matters to the programs, and solvers have absolute tolerances.
        gramian = gramian / (np.abs(gramian).max() or 1.0)
        mode: Mode = "balance" if self.non_uniformity > self.tolerance else "descent"
        self.last_mode.fill_(MODES.index(mode))
        self.counters[MODES.index(mode)] += 1
        found = (self._linear if self.form == "linear" else self._quadratic)(gramian, losses, r, mode)
        if found is None:
            self.counters[3] += 1
            return r
        return found

    def _linear(
        self, gramian: NDArray[np.float64], losses: NDArray[np.float64], r: NDArray[np.float64], mode: Mode
    ) -> NDArray[np.float64] | None:
        if mode == "balance":
            found = solve_on_simplex(*balance_program(gramian, losses, r))
        else:
            found = solve_on_simplex(*descent_program(gramian, losses, r, self.restricted))
        if found is not None:
            return found
        self.counters[2] += 1
        if mode == "descent" and self.restricted:
            found = solve_on_simplex(*descent_program(gramian, losses, r, restricted=False))
        try:
            # Lets no loss rise but by the rounding of the Gram matrix, which can leave the programs without a solution.
            return shortest_combination(gramian + ROUNDING * np.eye(len(r)), len(r))[0] if found is None else found
        except ArithmeticError:
            return None

    def _quadratic(
        self, gramian: NDArray[np.float64], losses: NDArray[np.float64], r: NDArray[np.float64], mode: Mode
    ) -> NDArray[np.float64] | None:
        anchor = rotation_anchor(losses, r) if mode == "balance" else losses
        anchor = anchor / np.linalg.norm(losses)
        ones = np.ones(len(r))
        try:
            return bounded_quadratic(gramian @ gramian, gramian @ anchor, -ones, ones)
        except ArithmeticError:
            return None

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> EPOWeighting:
        """A model that is cast takes its parts along; numbers here stay in double precision."""
        kept = {name: buffer for name, buffer in self._buffers.items() if buffer is not None}
        super()._apply(fn, recurse)
        for name, buffer in kept.items():
            moved = self._buffers[name]
            assert moved is not None
            self._buffers[name] = buffer.to(moved.device)
        return self

    # ------------------------------------------------------------------ as torchjd's weightings

    def __lshift__(self, function: Callable[[Tensor], Tensor]) -> nn.Module:
        """``weighting << compute_gramian``: a weighting of Jacobians, as torchjd's aggregators build it."""
        return _Composed(self, function)

    def extra_repr(self) -> str:
        r = ", ".join(f"{value:.4g}" for value in self.preference.tolist())
        return (
            f"preference=[{r}], form={self.form!r}, tolerance={self.tolerance:g}, restricted={self.restricted}, "
            f"average={self.average:g}"
        )


class _Composed(nn.Module):
    def __init__(self, weighting: EPOWeighting, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.weighting, self.function = weighting, function

    def forward(self, statistic: Tensor, /) -> Tensor:
        weights: Tensor = self.weighting(self.function(statistic))
        return weights


def check_finite(gramian: NDArray[np.float64], n_losses: int | None = None) -> None:
    """Refuse gradients that are not finite.

    Arguments:
        gramian: of m losses and perhaps constraints, shape (m + k, m + k).
        n_losses: m; by default all.

    Raises:
        ValueError: naming the first gradient that is not finite.
    """
    bad = ~np.isfinite(np.diag(gramian))
    if bad.any():
        raise not_finite(int(np.argmax(bad)), n_losses)
    if not np.isfinite(gramian).all():
        raise too_long()


def not_finite(index: int, n_losses: int | None = None) -> ValueError:
    """What to raise where the gradient of a loss, or of a constraint after all losses, is not finite."""
    what = f"loss {index}" if n_losses is None or index < n_losses else f"constraint {index - n_losses}"
    return ValueError(
        f"The gradient of {what} is not finite; look for a division or a root at its limit, and in training try a "
        "lower learning rate."
    )


def too_long() -> ValueError:
    """What to raise where gradients are finite and their squares are not."""
    return ValueError("The Gram matrix is not finite; the gradients are too long for their number format.")


def _array(values: Any) -> Any:
    if isinstance(values, Tensor):
        return values.detach().to("cpu", torch.float64).numpy()
    if isinstance(values, Sequence) and not isinstance(values, str):
        return [_array(value) for value in values]
    return values
