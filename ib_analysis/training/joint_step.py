"""A training step for two losses of one network: how much each one counts, and the gradients that follow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn

from ib_analysis.artifacts import UserError
from ib_analysis.encoders import ResNetJoint
from ib_analysis.pareto.direction import constrained_weights
from ib_analysis.pareto.gradients import combined, first_not_finite, gradient_rows, gramian
from ib_analysis.pareto.quadratic_program import shortest_combination
from ib_analysis.pareto.weighting import EPOWeighting
from ib_analysis.training.joint_config import JointConfig
from ib_analysis.training.trade_off import TradeOff

__all__ = ["JointStep", "JointWeights", "joint_step"]

LEAST_LOSS = 1e-6
"""Losses are taken for at least so much when they are weighed: a batch that is classified perfectly in float32 has a
cross-entropy of 0, whose ratio to another loss means nothing."""

TOTAL = 2.0
"""Sum of the weights, so that a learning rate for the sum of both losses fits."""


class JointWeights(nn.Module):
    """Weights of both losses in a training step, from the losses and the Gram matrix of their gradients.

    For a preference: those of exact Pareto optimal search (`ib_analysis.pareto.EPOWeighting`), or the preference
    itself. For a limit c of the second loss l_2: 1 and the multiplier nu >= 0 of the direction nearest to the first
    gradient along which l_2 falls at least at the rate restoration (l_2 - c) (docs/pareto.md, section 2; where the
    first loss is least, nu is the multiplier of Karush, Kuhn and Tucker), brought to the same sum: a network far above
    its limit takes no longer steps than another one.

    Losses and Gram matrices are averaged over steps (`JointConfig.average`), for a batch's are noisy. All state is in
    buffers: ``state_dict`` keeps it.

    Arguments:
        trade_off: what is wanted.
        config: see `JointConfig`.

    Attributes:
        fallbacks: how often exact Pareto optimal search found no weights, and the preference was taken.

    >>> weights = JointWeights(TradeOff("exact", (3, 1)), JointConfig())
    >>> weights(np.array([1.0, 1.0]), np.eye(2))  # the first loss is the larger one, weighted by its preference
    array([2., 0.])
    """

    losses: Tensor
    gramian: Tensor

    def __init__(self, trade_off: TradeOff, config: JointConfig) -> None:
        super().__init__()
        self.trade_off, self.config = trade_off, config
        self.register_buffer("losses", torch.full((2,), float("nan"), dtype=torch.float64))
        self.register_buffer("gramian", torch.full((2, 2), float("nan"), dtype=torch.float64))
        exact = trade_off.kind == "exact"
        self.search = EPOWeighting(trade_off.numbers, tolerance=config.tolerance) if exact else None

    @property
    def fallbacks(self) -> int:
        return 0 if self.search is None else self.search.fallbacks

    def forward(self, losses: NDArray[np.float64], gramian: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights, shape (2,), of sum 2.

        Arguments:
            losses: of a batch, shape (2,).
            gramian: inner products of their gradients, shape (2, 2).

        Raises:
            ArithmeticError: a number is not finite.
        """
        if not (np.isfinite(losses).all() and np.isfinite(gramian).all()):
            raise ArithmeticError("A loss or a gradient is not finite.")
        values = self._averaged(self.losses, np.maximum(losses, LEAST_LOSS))
        matrix = self._averaged(self.gramian, gramian)
        if self.search is not None:
            self.search.set_losses(values)
            found = self.search.weights(matrix)
        elif self.trade_off.preference is not None:
            found = np.array(self.trade_off.preference)
        else:
            excess = self.config.restoration * (values[1:] - self.trade_off.numbers[0])
            found = constrained_weights(lambda _: np.ones(1), matrix, 1, excess, 0)
        return TOTAL * found / found.sum()

    def _averaged(self, kept: Tensor, new: NDArray[np.float64]) -> NDArray[np.float64]:
        values = torch.from_numpy(np.asarray(new, dtype=np.float64)).to(kept.device)
        if not bool(kept.isnan().any()):
            values = self.config.average * kept + (1 - self.config.average) * values
        kept.copy_(values)
        return values.cpu().numpy()


class JointStep:
    """Writes ``.grad`` of a network's parameters, with one backward pass per loss.

    The trunk gets the weighted sum of both gradients; the weights come from its part of the gradients alone. A head,
    whose parameters only one loss depends on, always gets the gradient of its own loss: it concerns no other one, so
    that nothing of the promises for the trunk is lost, and a head that a weight of 0 leaves behind would make its loss
    look worse than the trunk's features are.

    Arguments:
        shared: parameters that both losses depend on.
        own: of each loss, the parameters that it alone depends on.
        weights: see `JointWeights`.

    Attributes:
        first_weights: the first loss' weights in the steps so far, as shares of the sum; emptied by whoever reads them.
        stationarities: likewise, how long the shortest convex combination of the trunk's gradients was, in units of the
            longer one.
    """

    def __init__(self, shared: Sequence[Tensor], own: Sequence[Sequence[Tensor]], weights: JointWeights) -> None:
        self.shared, self.own, self.weights = list(shared), [list(part) for part in own], weights
        self.first_weights: list[float] = []
        self.stationarities: list[float] = []

    def backward(self, losses: Tensor) -> None:
        """Replace the gradients by those of the step.

        Arguments:
            losses: shape (2,), with their graph, which is freed.

        Raises:
            ArithmeticError: a loss or a gradient is not finite.
        """
        heads = [parameter for part in self.own for parameter in part]
        rows = gradient_rows(losses.unbind(), [*self.shared, *heads])
        if first_not_finite(rows) is not None:  # heads are not in the Gram matrix
            raise ArithmeticError("A gradient is not finite.")
        matrix = gramian(rows, places=range(len(self.shared)))
        weights = self.weights(losses.detach().cpu().double().numpy(), matrix)
        self.first_weights.append(float(weights[0]) / TOTAL)
        relative = matrix / max(float(np.diag(matrix).max()), 1e-300)
        self.stationarities.append(shortest_combination(relative, 2)[1])
        n_shared = len(self.shared)
        of_trunk = combined([row[:n_shared] for row in rows], weights)
        of_heads = combined([row[n_shared:] for row in rows], np.ones(2))
        for parameter, gradient in zip([*self.shared, *heads], [*of_trunk, *of_heads], strict=True):
            parameter.grad = gradient


def joint_step(network: ResNetJoint, trade_off: TradeOff, config: JointConfig, accelerator: Accelerator) -> JointStep:
    """What weighs the two losses of a network in training.

    Raises:
        UserError: several processes share the training, whose gradients would have to be gathered before they are
            weighed, or losses are scaled, as float16 needs it.
    """
    if accelerator.num_processes > 1 or accelerator.scaler is not None:
        raise UserError(
            "The task joint weighs the gradients of two losses, which is done in one process and not in float16; start "
            "it without a launcher, and with --training.precision float32 or bfloat16."
        )
    own = ([*network.head.parameters()], [*network.mirror.parameters()])
    return JointStep([*network.trunk.parameters()], own, JointWeights(trade_off, config).to(accelerator.device))
