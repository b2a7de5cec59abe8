from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ib_analysis.activations import RecomputedActivations, dump_activations
from ib_analysis.data.interface import ImageData, Split
from ib_analysis.encoders import EncoderConfig, build_encoder


def make_split(rng, n, shape):
    images = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
    return Split(images, rng.integers(0, 3, n), np.arange(n), {})


def make_data(n_encoder=20, n_decoder=45, n_validation=9, n_evaluation=30, shape=(1, 8, 8), seed=0):
    rng = np.random.default_rng(seed)
    return ImageData(
        name="test",
        intensities=256,
        class_names=("a", "b", "c"),
        encoder=make_split(rng, n_encoder, shape),
        decoder=make_split(rng, n_decoder, shape),
        evaluation=make_split(rng, n_evaluation, shape),
        n_validation=n_validation,
        h_x_bits=None,
        h_y_bits=1.5,
    )


def load_encoder(epoch):
    """A network that depends on its epoch, with running statistics that are not those of a fresh one."""
    network = build_encoder(EncoderConfig(depth=8, width=4), "classification", (1, 8, 8), 256, 3, seed=epoch)
    generator = torch.Generator().manual_seed(epoch)
    network(torch.randint(0, 256, (16, 1, 8, 8), generator=generator).to(torch.uint8))
    return network


@dataclass
class Dump:
    """A small dump that can be run again, with other ingredients."""

    path: Path
    load: Callable = load_encoder
    epochs: tuple = (0, 2)
    layers: tuple = ("h1", "h3", "h4")
    data: ImageData = field(default_factory=make_data)
    encoders: dict = field(default_factory=lambda: {0: "aa", 2: "bb"})
    config: dict = field(default_factory=lambda: {"width": 4})
    written: list = field(default_factory=list)

    def source(self):
        def load(epoch):
            self.written.append(epoch)
            return self.load(epoch)

        return RecomputedActivations(load, self.data, self.epochs, self.layers, group_size=8)

    def run(self, progress=None):
        return dump_activations(
            self.path,
            self.source(),
            config=self.config,
            seed=7,
            data_sha256=self.data.sha256,
            encoders=self.encoders,
            progress=progress,
        )


def read_all(stored, queue):
    """Send the sum of one dataset; run by another process."""
    groups = range(len(stored.groups))
    queue.put(float(sum(stored.read(2, "h3", group).double().sum() for group in groups)))
