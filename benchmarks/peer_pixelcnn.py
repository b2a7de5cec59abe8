"""The unconditional decoder against the nearest living peer at equal CPU time: held-out bits per image of both.

    python benchmarks/peer_pixelcnn.py [--cpu-seconds 360] [--peer-python PATH] [--data.root ...]

The peer is the PixelCNN of the package encoding_information 0.1.1: gated, dilated, with a mixture of Gaussians. It
lives best in an environment of its own, whose interpreter is named by --peer-python:

    python3 -m venv peer
    peer/bin/pip install encoding_information==0.1.1 tensorflow-cpu jax flax optax matplotlib scikit-image

Without it only our own decoder is fitted, and the output says so. Both see the same decoder images of the experiment
(validation slice included, which each cuts its own way) and are judged on its evaluation images. The peer goes first,
and ours gets the CPU seconds that the peer took for its fit and validations, over all threads. The peer adds uniform
noise to the pixels, so that its figure, a density, bounds the code length of the integers from above.
Further options are fields of the experiment, for instance --data.root.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from decoders import (
    Architecture,
    FittingConfig,
    ImageSpace,
    Minibatch,
    PixelCNNPP,
    PixelCNNPPConfig,
    code_lengths_bits,
    fit,
)
from ib_analysis.artifacts import UserError
from ib_analysis.cli import parse_experiment
from ib_analysis.data import ImageData, load_data
from ib_analysis.studies.budget.plan import scaled

WORKER = Path(__file__).parent / "peer" / "encoding_information_pixelcnn.py"
REHEARSAL = 100
"""Steps that are timed before the fit, to choose its number of steps."""


class Images:
    """Images without conditions, as a decoder is fitted to them."""

    def __init__(self, data: ImageData, config: FittingConfig) -> None:
        self.fitting = torch.from_numpy(data.fitting.images)
        self.held_out = torch.from_numpy(data.validation.images[: config.validation_images])
        self.batch_size = config.batch_size

    def minibatch(self, rng: np.random.Generator) -> Minibatch:
        return Minibatch(self.fitting[torch.from_numpy(rng.integers(len(self.fitting), size=self.batch_size))])

    def validation(self) -> Iterator[Minibatch]:
        yield from (Minibatch(part) for part in self.held_out.split(256))


def fitted(data: ImageData, architecture: Architecture, config: FittingConfig) -> tuple[PixelCNNPP, float, float]:
    """A fitted decoder, with its CPU seconds and wall-clock seconds."""
    torch.manual_seed(0)
    decoder = PixelCNNPP(PixelCNNPPConfig(ImageSpace(*data.image_shape, data.intensities), architecture))
    images = Images(data, config)
    wall, cpu = time.perf_counter(), time.process_time()
    fit(decoder, images, config, seed=0)
    return decoder, time.process_time() - cpu, time.perf_counter() - wall


def ours(data: ImageData, architecture: Architecture, config: FittingConfig, budget: float) -> dict[str, Any]:
    short, long = (
        fitted(data, architecture, scaled_to(config, steps))[1]
        for steps in (REHEARSAL // 4, REHEARSAL + REHEARSAL // 4)
    )
    step = (long - short) / REHEARSAL
    images = Images(data, config)
    start = time.process_time()
    decoder = PixelCNNPP(PixelCNNPPConfig(ImageSpace(*data.image_shape, data.intensities), architecture)).eval()
    code_lengths_bits(decoder, images.validation())
    validation = time.process_time() - start
    validations = round(config.steps / config.validate_every)
    steps = max(1, int((budget - validations * validation) / step))
    decoder, cpu, wall = fitted(data, architecture, scaled(config, steps / config.steps))
    test = torch.from_numpy(data.evaluation.images)
    bits = code_lengths_bits(decoder, (Minibatch(part) for part in test.split(256)))
    return {
        "package": f"this project, {architecture.blocks} block(s), {architecture.filters} filters",
        "bits": float(bits.mean()),
        "steps": steps,
        "cpu_seconds": cpu,
        "seconds": wall,
    }


def scaled_to(config: FittingConfig, steps: int) -> FittingConfig:
    """A short fit that validates at its end only."""
    return dataclasses.replace(scaled(config, steps / config.steps), validation_images=1, validate_every=10**6)


def peer(python: str, data: ImageData, budget: float) -> dict[str, Any] | None:
    known = subprocess.run([python, "-c", "import encoding_information.models.pixel_cnn"], capture_output=True)
    if known.returncode:
        return None
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "train.npy", data.decoder.images[:, 0])
        np.save(Path(folder) / "test.npy", data.evaluation.images[:, 0])
        subprocess.run([python, str(WORKER), folder, str(budget)], check=True, stdout=sys.stderr)
        return json.loads((Path(folder) / "peer.json").read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--experiment", default="cifar10-16", help="whose images and unconditional model are taken (grey ones)"
    )
    parser.add_argument("--cpu-seconds", type=float, default=360.0, help="of each fit, over all threads")
    parser.add_argument(
        "--threads", type=int, default=1, help="of our fit: at small sizes one wastes the least CPU time"
    )
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter that has encoding_information")
    options, fields = parser.parse_known_args()
    torch.set_num_threads(options.threads)
    try:
        config = parse_experiment("train", [options.experiment, *fields])
        data = load_data(config.data)
    except (UserError, ValueError) as error:
        raise SystemExit(f"{parser.prog}: {error}") from error
    if data.image_shape[0] != 1:
        raise SystemExit(f"{parser.prog}: the peer knows grey images only; add --data.greyscale true.")
    print(f"{len(data.decoder):,} images of {data.image_shape} to fit, {len(data.evaluation):,} to judge, {data.name}")
    theirs = peer(options.peer_python, data, options.cpu_seconds)
    if theirs is None:
        print("The peer is not installed (see --help): only this project's decoder is fitted.")
    rows = [] if theirs is None else [theirs]
    deep = config.reader == "deep"
    network, fitting = (config.base_network, config.base_fitting) if deep else (config.decoder, config.fitting)
    rows.append(ours(data, network, fitting, theirs["cpu_seconds"] if theirs else options.cpu_seconds))
    print(f"{'model':45s} {'bits/image':>10s} {'bits/dim':>9s} {'CPU seconds':>12s} {'seconds':>8s}")
    for row in rows:
        dims = float(np.prod(data.image_shape))
        print(
            f"{row['package']:45s} {row['bits']:10.1f} {row['bits'] / dims:9.3f} {row['cpu_seconds']:12.0f} "
            f"{row['seconds']:8.0f}"
        )


if __name__ == "__main__":
    main()
