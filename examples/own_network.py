"""Measure what the layers of one's own network know about its input, before and after training.

The network is a small one for scikit-learn's 8x8 digits, trained on half of them; the other half is measured. Replace
`OwnNetwork` and `trained` by yours. What a tap, a network and an image may be: docs/own_networks.md.

    python examples/own_network.py                # minutes on one core
    python examples/own_network.py --steps 200    # a quick look, with readers that still learn

Everything is written to the current folder; a second call goes on from what is there. Figures and a page of samples lie
in figures/own_network, tables in checkpoints/own_network.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from ib_analysis import Results, record, study

EPOCHS = (0, 5, 20)


class OwnNetwork(nn.Module):
    """Two convolutions and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.Sequential(nn.Conv2d(1, 12, 3, padding=1), nn.ReLU())
        self.late = nn.Sequential(nn.Conv2d(12, 24, 3, stride=2, padding=1), nn.ReLU())
        self.classify = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.late(self.early(x)).mean((2, 3)))


def digits() -> tuple[Tensor, Tensor]:
    """Images (N, 1, 8, 8) of 17 intensities, and labels."""
    found = load_digits()
    return torch.from_numpy(found.images).to(torch.uint8)[:, None], torch.from_numpy(found.target)


def preprocess(images: Tensor) -> Tensor:
    """From integer images to the network's input."""
    return images.float() / 16


def trained(network: nn.Module, images: Tensor, labels: Tensor, prepare: Callable[[Tensor], Tensor]) -> dict:
    """The network as it was after each of the epochs."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    found = {}
    for epoch in range(EPOCHS[-1] + 1):
        if epoch in EPOCHS:
            found[epoch] = copy.deepcopy(network)
        for rows in torch.randperm(len(images)).split(32):
            loss = nn.functional.cross_entropy(network(prepare(images[rows])), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return found


def main(arguments: list[str] | None = None) -> Results:
    """Record and measure."""
    parser = argparse.ArgumentParser(description="Information in the layers of one's own network.")
    parser.add_argument("--steps", type=int, default=800, help="steps of each reader's fit")
    steps = parser.parse_args(arguments).steps
    fitting = {"steps": steps, "validate_every": steps // 20}
    torch.manual_seed(0)
    images, labels = digits()
    networks = trained(OwnNetwork(), images[::2], labels[::2], preprocess)

    taps = {"early": "early", "late": "late", "logits": "classify"}
    held_out, answers, seen = images[1::2], labels[1::2], images[::2]
    record("own_network.h5", held_out, answers, networks=networks, taps=taps, preprocess=preprocess, trained_on=seen,
           intensities=17)  # fmt: skip
    mine = study("own_network", "digits", activations_file="own_network.h5", fitting=fitting)
    mine.figures()
    return mine.results


if __name__ == "__main__":
    main(sys.argv[1:])
