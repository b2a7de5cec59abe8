"""Activations of several networks as those of one: each layer from its own network, for the same images."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from ib_analysis.activations import Groups, JoinedActivations

GROUPS = Groups(n_train=6, n_validation=2, n_evaluation=4, group_size=4)


class Telling:
    """Activations that tell whose they are: network, epoch, and the image's index."""

    layers = ("h1", "h4")

    def __init__(self, network: int, groups: Groups = GROUPS, epochs: Sequence[int] = (0, 2)) -> None:
        self.network, self.groups, self.epochs = network, groups, tuple(epochs)

    def shape(self, layer: str) -> tuple[int, ...]:
        return (3, self.network, 1) if layer == "h1" else (3,)

    def read(self, epoch: int, layer: str, group: int) -> Tensor:
        start, stop = self.groups.bounds[group]
        values = torch.stack([torch.tensor([self.network, epoch, index]) for index in range(start, stop)])
        return values if layer == "h4" else values[:, :, None, None].expand(-1, -1, self.network, 1)


def test_every_layer_is_that_of_its_own_network() -> None:
    joined = JoinedActivations({"one": Telling(1), "two": Telling(2, epochs=(0, 1, 2))})
    assert joined.groups == GROUPS
    assert joined.epochs == (0, 2)
    assert joined.layers == ("one/h1", "one/h4", "two/h1", "two/h4")
    assert [joined.shape(layer) for layer in joined.layers] == [(3, 1, 1), (3,), (3, 2, 1), (3,)]
    for network, name in ((1, "one"), (2, "two")):
        for epoch in joined.epochs:
            for group, (start, stop) in enumerate(GROUPS.bounds):
                expected = [[network, epoch, index] for index in range(start, stop)]
                assert joined.read(epoch, f"{name}/h4", group).tolist() == expected
                assert joined.read(epoch, f"{name}/h1", group)[:, :, 0, 0].tolist() == expected


def test_what_cannot_be_joined_is_refused() -> None:
    with pytest.raises(ValueError, match="no activations to join"):
        JoinedActivations({})
    with pytest.raises(ValueError, match="different groups"):
        JoinedActivations({"one": Telling(1), "two": Telling(2, Groups(6, 2, 4, 2))})
