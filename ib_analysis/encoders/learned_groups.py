"""Learned group convolutions: 1x1 convolutions that lose inputs as they are trained.

Source: Huang, Liu, van der Maaten & Weinberger 2018 (CondenseNet, arXiv 1711.09224), section 3. The group-lasso penalty
of the paper is left out.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CondensedConv2d", "LearnedGroupConv2d", "condense", "expect_steps", "kept_weights"]


class LearnedGroupConv2d(nn.Conv2d):
    """A 1x1 convolution of several groups of outputs, each of which keeps 1/groups of the inputs in the end.

    Training passes are counted. In the first half of the expected ones there are groups - 1 condensing stages of equal
    length; at the end of each, every group of outputs loses those 1/groups of the inputs whose weights have the least
    absolute sum in it. What is lost stays zero, also in checkpoints.

    Arguments:
        in_channels, out_channels: divisible by `groups`.
        condensation: the number of groups, which is the factor by which weights become fewer.

    Raises:
        ValueError: channels that cannot be divided.
    """

    mask: Tensor
    passes: Tensor

    def __init__(self, in_channels: int, out_channels: int, condensation: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1, bias=False)
        if in_channels % condensation or out_channels % condensation:
            raise ValueError(f"{condensation} groups do not divide {in_channels} inputs and {out_channels} outputs")
        self.condensation = condensation
        self.expected_steps: int | None = None
        self.register_buffer("mask", torch.ones(condensation, in_channels))  # of a group of outputs
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64))
        self._known_condensed = condensation == 1

    @property
    def stages_done(self) -> int:
        """Condensing stages that have ended."""
        return round((1 - float(self.mask[0].mean())) * self.condensation)

    def effective_weight(self) -> Tensor:
        """The weight without what was lost, (C_out, C_in, 1, 1)."""
        rows = self.mask.repeat_interleave(self.out_channels // self.condensation, 0)
        return self.weight * rows[:, :, None, None]

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.expected_steps is not None and not self._known_condensed:
            self._count(self.expected_steps)
        return F.conv2d(x, self.effective_weight())

    @torch.no_grad()
    def _count(self, steps: int) -> None:
        # A stage ends before the pass that follows its last one, so that its last update is seen.
        wanted = min(self.condensation - 1, int(self.passes) * 2 * (self.condensation - 1) // max(1, steps))
        while self.stages_done < wanted:
            self.lose_inputs()
        self._known_condensed = self.stages_done == self.condensation - 1
        self.passes += 1

    @torch.no_grad()
    def lose_inputs(self) -> None:
        """End a condensing stage."""
        sums = self.weight[:, :, 0, 0].abs().view(self.condensation, -1, self.in_channels).sum(1)
        sums = sums.masked_fill(self.mask == 0, torch.inf)
        least = sums.argsort(dim=1, stable=True)[:, : self.in_channels // self.condensation]
        self.mask.scatter_(1, least, 0.0)

    def _load_from_state_dict(self, *arguments: object, **keywords: object) -> None:
        self._known_condensed = False  # what is loaded may be of an earlier step
        super()._load_from_state_dict(*arguments, **keywords)


class CondensedConv2d(nn.Module):
    """What a learned group convolution is in the end: inputs in a learned order, and a convolution of groups.

    Arguments:
        learned: with all condensing stages behind it.
    """

    order: Tensor

    def __init__(self, learned: LearnedGroupConv2d) -> None:
        super().__init__()
        groups, outputs = learned.condensation, learned.out_channels
        kept = torch.stack([row.nonzero().flatten() for row in learned.mask])  # (groups, C_in / groups)
        self.register_buffer("order", kept.flatten())
        self.convolution = nn.Conv2d(kept.numel(), outputs, 1, groups=groups, bias=False)
        with torch.no_grad():
            rows = kept.repeat_interleave(outputs // groups, 0)
            self.convolution.weight.copy_(learned.weight[:, :, 0, 0].gather(1, rows)[:, :, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(x[:, self.order])


def condense(network: nn.Module) -> nn.Module:
    """Put `CondensedConv2d` for all learned group convolutions of a network, ending the stages that are left.

    Returns:
        The network, changed in place.
    """
    found = {name: part for name, part in network.named_modules() if isinstance(part, LearnedGroupConv2d)}
    for name, part in found.items():
        while part.stages_done < part.condensation - 1:
            part.lose_inputs()
        parent, _, attribute = name.rpartition(".")
        setattr(network.get_submodule(parent), attribute, CondensedConv2d(part))
    return network


def expect_steps(network: nn.Module, steps: int) -> None:
    """Tell a network's learned group convolutions how many training steps there will be."""
    for module in network.modules():
        if isinstance(module, LearnedGroupConv2d):
            module.expected_steps = steps


def kept_weights(layer: nn.Conv2d | nn.Linear) -> int:
    """Weights of a layer, the bias left out; of a learned group convolution those that it has in the end."""
    if isinstance(layer, LearnedGroupConv2d):
        return layer.weight.numel() // layer.condensation
    return layer.weight.numel()
