"""The same for a vision transformer: its patch tokens are measured as maps, its class token as a vector.

The digits, 8x8, are enlarged to 32x32 for a transformer with patches of 8 pixels; decoders see them at 8x8, as area
averages, which is what X is in all figures.

    python examples/own_transformer.py --steps 200
"""

from __future__ import annotations

import argparse
import sys

import torch
from own_network import digits, trained
from torch import Tensor
from torchvision.models import VisionTransformer

from ib_analysis import Results, record, study


def preprocess(images: Tensor) -> Tensor:
    """From integer images (B, 1, 32, 32) to three channels."""
    return images.float().expand(-1, 3, -1, -1) / 16


def main(arguments: list[str] | None = None) -> Results:
    """Train, record and measure."""
    parser = argparse.ArgumentParser(description="Information in the tokens of a vision transformer.")
    parser.add_argument("--steps", type=int, default=800, help="steps of each reader's fit")
    steps = parser.parse_args(arguments).steps
    fitting = {"steps": steps, "validate_every": steps // 20}
    torch.manual_seed(0)
    images, labels = digits()
    images = images.repeat_interleave(4, 2).repeat_interleave(4, 3)
    network = VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64, num_classes=10
    )
    networks = trained(network, images[::2], labels[::2], preprocess)

    layers = "encoder.layers.encoder_layer_"
    taps = {"patches_1": f"{layers}0@patches", "patches_2": f"{layers}1@patches", "class_token": "encoder.ln@class"}
    record("own_transformer.h5", images[1::2], labels[1::2], networks=networks, taps=taps, preprocess=preprocess,
           intensities=17, decoder_resolution=8, titles={"class_token": "class token"})  # fmt: skip
    mine = study("own_transformer", "digits", activations_file="own_transformer.h5", fitting=fitting)
    mine.figures()
    return mine.results


if __name__ == "__main__":
    main(sys.argv[1:])
