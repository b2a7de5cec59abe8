"""The optimizer of encoders, and what L2 pulls at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ib_analysis.encoders import decay_origins

__all__ = ["make_optimizer"]


def make_optimizer(
    network: nn.Module, kind: Literal["sgd", "adam"], learning_rate: float, weight_decay: float, momentum: float
) -> torch.optim.Optimizer:
    """A fresh optimizer; only parameters of more than one dimension decay.

    They decay to zero, or to what their module says (`ib_analysis.encoders.HasDecayOrigins`): the penalty then is
    weight_decay / 2 |w - origin|^2, so that an identity within a weight is not shrunk.

    Arguments:
        network: on the device where it is trained.
        kind: `sgd` with Nesterov momentum, or `adam` (Kingma & Ba 2015, arXiv 1412.6980).
        learning_rate, weight_decay: of the parameters, the second as L2.
        momentum: of `sgd`.

    >>> optimizer = make_optimizer(nn.Conv2d(1, 1, 3), "sgd", 0.1, 1e-4, 0.9)
    >>> [group["weight_decay"] for group in optimizer.param_groups]
    [0.0001, 0.0]
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    optimizer: torch.optim.Optimizer
    if kind == "adam":
        optimizer = torch.optim.Adam(groups, lr=learning_rate)
    else:
        optimizer = torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, nesterov=True)
    named = dict(network.named_parameters())
    moved = [(named[name], origin) for name, origin in decay_origins(network).items() if name in named]
    moved = [(parameter, origin) for parameter, origin in moved if parameter.requires_grad and parameter.ndim > 1]
    if moved and weight_decay:
        _pull_towards(optimizer, moved, weight_decay)
    return optimizer


def _pull_towards(
    optimizer: torch.optim.Optimizer, moved: Sequence[tuple[Tensor, Tensor]], weight_decay: float
) -> None:
    """Before each step take from the gradients what decay to zero is too much: d (w - o) = d w - d o.

    A hook of the optimizer comes after gradients were averaged over devices and freed of the scale of mixed precision.
    """

    def take_off(*_: Any) -> None:
        for parameter, origin in moved:
            if parameter.grad is not None:
                parameter.grad.sub_(origin, alpha=weight_decay)

    optimizer.register_step_pre_hook(take_off)
