"""How far a network is binary: not at all, its activations, or activations and weights."""

from __future__ import annotations

from enum import IntEnum

from torch import nn

__all__ = ["HasPhase", "Phase", "set_phase"]


class Phase(IntEnum):
    """What is ±1 in a network."""

    REAL = 0
    """Nothing but the input code: the real-valued twin."""
    SIGNS = 1
    """The left operand of every product: step 1 of training in two steps."""
    BINARY = 2
    """Both operands of every product."""


class HasPhase(nn.Module):
    """A module whose forward pass depends on the phase. It is no tensor, so that a GPU is not waited for; a network
    keeps it in its checkpoints by `extra_state`."""

    phase: Phase = Phase.REAL


def set_phase(network: nn.Module, phase: Phase) -> nn.Module:
    """Set the phase of every module of a network, in place; weights stay as they are.

    Returns:
        The network.

    >>> from ib_analysis.binary.products import BinaryLinear
    >>> set_phase(BinaryLinear(3, 2), Phase.BINARY).phase
    <Phase.BINARY: 2>
    """
    for module in network.modules():
        if isinstance(module, HasPhase):
            module.phase = phase
    return network
