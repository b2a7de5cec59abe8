"""Measure what the layers of one's own network know about its input.

The network is torchvision's resnet18 with random weights (no download) on 224-pixel inputs; the decoder beside it
sees scikit-learn's 8x8 digits as they are. Replace `own_network`, `TAPS` and `preprocess` by your own:

    python examples/own_network.py                  # about a minute on one core
    python examples/own_network.py --pixels 64      # a smaller input, in half the time

It shows every part, with the simplest decoder: one PixelCNN++ that is fitted from scratch to all layers. Experiments of
`ib` read layers by default with a reader each on a base of the images (`decoders.Reader`), which finds more.

Read the numbers with care: a few hundred images and steps make a decoder that still learns, and the null code length
comes from the same decoder. See docs/method.md for what usable information is and what it is not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet18
from tqdm import tqdm

from decoders import (
    Architecture,
    Cell,
    FittingConfig,
    ImageSpace,
    PixelCNNPP,
    PixelCNNPPConfig,
    code_lengths_bits,
    fit,
)
from decoders.fitting.warnings import EXPLANATIONS
from ib_analysis.activations import RecomputedActivations, StoredActivations, dataset_name, dump_activations
from ib_analysis.data import DataConfig, load_data
from ib_analysis.encoders import NamedTaps
from ib_analysis.fits.feed import CellFeed, images_in_order
from ib_analysis.information import usable_information

# Name of the tap -> path of the module in the network (`print(network)` shows them), from input to output. See
# `NamedTaps` for modules that are called twice, for outputs with several parts, and for axes that it asks for.
TAPS = {"layer1": "layer1", "layer2": "layer2", "layer3": "layer3", "layer4": "layer4", "pooled": "flatten"}
INTENSITIES = 17  # the digits' pixels are integers 0..16
EPOCH = 0  # a network without a training history has one epoch
COOLDOWN_SHARE = 0.3  # of the steps, at the end
GROUP_SIZE = 16  # images that are always evaluated together


def own_network() -> nn.Module:
    """The network to look into; load your own weights here."""
    torch.manual_seed(0)
    return resnet18(weights=None)


def preprocess(images: Tensor, pixels: int) -> Tensor:
    """From the decoder's integer images (B, 1, 8, 8) to the network's input (B, 3, pixels, pixels)."""
    x = F.interpolate(images.float() / (INTENSITIES - 1), size=(pixels, pixels), mode="bilinear")
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])  # ImageNet's
    return (x - mean[:, None, None]) / std[:, None, None]


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Print a table, and return usable information in bits by tap."""
    options = _options(arguments)
    data = load_data(DataConfig(source="digits", per_class=options.per_class))
    network = NamedTaps(own_network(), TAPS, partial(preprocess, pixels=options.pixels))

    with tempfile.TemporaryDirectory() as folder:
        # A decoder asks for the activations of an image many times: compute them once, keep them on disk.
        source = RecomputedActivations(lambda epoch: network, data, (EPOCH,), tuple(TAPS), GROUP_SIZE)
        path = Path(folder) / "activations.h5"
        with tqdm(desc="activations") as bar:
            dump_activations(
                path,
                source,
                config={"network": "resnet18", "taps": TAPS, "pixels": options.pixels},
                seed=0,
                data_sha256=data.sha256,
                encoders={EPOCH: "random weights"},
                progress=partial(_show, bar),
            )
        stored = StoredActivations(path)

        # One decoder for all taps. It is fitted on the decoder split and judged on the evaluation split.
        cells = [(EPOCH, tap) for tap in TAPS]
        feed = CellFeed(images_in_order(data), stored.groups, stored, cells, 32, validation_images=100)
        torch.manual_seed(0)
        decoder = PixelCNNPP(
            PixelCNNPPConfig(
                ImageSpace(*data.image_shape, data.intensities),
                Architecture(blocks=1, filters=24, output="categorical", dropout=0.1, fourier_features=True),
                tuple(Cell(dataset_name(EPOCH, tap), tap, stored.shape(tap)) for tap in TAPS),
            )
        )
        for cell, (mean, deviation) in feed.channel_statistics().items():
            decoder.standardise(cell, mean, deviation)
        # Whether a fit has converged is told from at least five validations before the learning rate cools down.
        config = FittingConfig(
            steps=options.steps,
            batch_size=32,
            validate_every=max(1, int(options.steps * (1 - COOLDOWN_SHARE)) // 6),
            cooldown_share=COOLDOWN_SHARE,
        )
        with tqdm(desc="decoder") as bar:
            fitted = fit(decoder, feed, config, seed=0, progress=partial(_show, bar))

        null = code_lengths_bits(decoder, feed.part("evaluation", (EPOCH, "layer1")), null=True)
        found = {}
        print(f"\nCode length without activations: {null.mean():.1f} bits per image ({len(null)} held-out images)")
        print("tap       shape          code length   usable information (95 % interval), bits per image")
        for tap in TAPS:
            lengths = code_lengths_bits(decoder, feed.part("evaluation", (EPOCH, tap)))
            bits = usable_information(null, lengths)
            found[tap] = bits.estimate
            shape = "x".join(map(str, stored.shape(tap)))
            interval = f"({bits.low:.1f} to {bits.high:.1f})"
            print(f"{tap:9} {shape:14} {lengths.mean():8.1f}      {bits.estimate:6.1f} {interval}")
        for warning in fitted.warnings:
            print(f"WARNING {warning}: {EXPLANATIONS[warning]}")
        return found


def _show(bar: tqdm, done: int, total: int, figures: dict[str, float]) -> None:
    bar.total = total
    bar.set_postfix({name: f"{value:.4g}" for name, value in figures.items()}, refresh=False)
    bar.update(done - bar.n)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Usable information in the layers of resnet18 with random weights.")
    parser.add_argument("--pixels", type=int, default=224, help="side of the network's input")
    parser.add_argument("--per-class", type=int, default=20, help="images of a class at most, in each split")
    parser.add_argument("--steps", type=int, default=300, help="steps of the decoder's fit")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
