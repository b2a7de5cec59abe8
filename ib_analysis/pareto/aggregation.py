"""From a Jacobian to an update: the Jacobian's rows weighted by `EPOWeighting`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ib_analysis.pareto.weighting import EPOWeighting

__all__ = ["EPO"]


class EPO(nn.Module):
    """Exact Pareto optimal search as an aggregator: m gradients to one.

    For Jacobians that are at hand anyway; `EPODescent` needs none, and torchjd's engine only a Gram matrix.

    Arguments:
        weighting: see `EPOWeighting`; its losses are set before each call.

    >>> import torch
    >>> aggregator = EPO(EPOWeighting([1.0, 1.0]))
    >>> aggregator.weighting.set_losses([2.0, 2.0])
    >>> aggregator(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    tensor([0.5000, 0.5000, 0.0000])
    """

    def __init__(self, weighting: EPOWeighting) -> None:
        super().__init__()
        self.weighting = weighting

    def forward(self, jacobian: Tensor, /) -> Tensor:
        """Arguments: jacobian: gradients of the losses, shape (m, n). Returns: shape (n,); add -learning rate times it.

        Raises:
            ValueError: as for `EPOWeighting.forward`, or the Jacobian is no matrix.
        """
        if jacobian.ndim != 2:
            raise ValueError(f"The Jacobian has shape {tuple(jacobian.shape)}; it must be (losses, parameters).")
        exact = jacobian.float() if jacobian.dtype in (torch.float16, torch.bfloat16) else jacobian
        weights: Tensor = self.weighting(exact @ exact.T)
        return weights.to(jacobian) @ jacobian

    def reset(self) -> None:
        """Forget losses, mode and counters."""
        self.weighting.reset()
