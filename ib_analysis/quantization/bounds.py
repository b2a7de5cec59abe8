"""Bounds of activations: watched for some steps, set once, then frozen."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["ActivationBounds", "start_step"]

AQT_START = 7500
"""Step at which AQT begins to quantize activations (arXiv 2105.03536, section 3)."""
SHARE_OF_A_SHORT_RUN = 0.05
LEAST_UPDATES = 50
ALPHA = 0.1


def start_step(steps: int) -> int:
    """Training steps for which activations stay as they are: 7500 as in AQT, but at most 5 % of a short run, and at
    least 50.

    >>> [start_step(steps) for steps in (200_000, 20_000, 100)]
    [7500, 1000, 50]
    """
    return max(LEAST_UPDATES, min(AQT_START, int(SHARE_OF_A_SHORT_RUN * steps)))


class ActivationBounds(nn.Module):
    """The largest magnitude per channel that codes of activations reach.

    Every training step updates exponential moving averages (alpha 0.1, from 0) of the batch's maximum and minimum;
    zeros are left out of both, and a channel without any other number, or with one that is not finite, keeps its
    averages. Step number ``start`` sets the bounds to max(|average maximum|, |average minimum|); from then on nothing
    changes any more. Evaluation changes nothing at any time. All of it is kept in checkpoints.

    Arguments:
        channels: of the input.
        start: training steps before the bounds are set; see `start_step`.
        per_tensor: one bound for all channels, the largest of theirs.
    """

    maximum: Tensor
    minimum: Tensor
    bound: Tensor
    steps: Tensor

    def __init__(self, channels: int, start: int, per_tensor: bool = False) -> None:
        super().__init__()
        self.start, self.per_tensor = start, per_tensor
        for name in ("maximum", "minimum", "bound"):
            self.register_buffer(name, torch.zeros(channels))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self._known_set = False

    @property
    def are_set(self) -> bool:
        """Whether the bounds are set, so that activations are quantized."""
        # Reading a number from a GPU waits for it: once set, it is not asked again.
        self._known_set = self._known_set or int(self.steps) > self.start
        return self._known_set

    @torch.no_grad()
    def watch(self, x: Tensor) -> None:
        """One training step: update the averages, and set the bounds when it is time.

        Arguments:
            x: a batch of the layer's inputs, (B, C) or (B, C, H, W).
        """
        if self.are_set:
            return
        values = x.detach().float().transpose(0, 1).flatten(1)
        counted = values != 0
        for average, found in (
            (self.maximum, values.masked_fill(~counted, -torch.inf).amax(1)),
            (self.minimum, values.masked_fill(~counted, torch.inf).amin(1)),
        ):
            average += ALPHA * torch.where(found.isfinite(), found - average, 0.0)
        if int(self.steps) == self.start:
            bound = torch.maximum(self.maximum.abs(), self.minimum.abs())
            self.bound.copy_(bound.max().expand_as(bound) if self.per_tensor else bound)
        self.steps += 1

    def _load_from_state_dict(self, *arguments: Any, **keywords: Any) -> None:
        self._known_set = False  # what is loaded may be of an earlier step
        super()._load_from_state_dict(*arguments, **keywords)
