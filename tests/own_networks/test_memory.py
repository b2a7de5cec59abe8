"""A large file stays on disk: 90,000 images with 20 cells are measured in less memory than their activations take.

With gated decoders and with readers on a base, whose features of all images are a file of their own. (A reader may hold
up to `held_gib` of its layer's activations on purpose; `tests/fits` has what it holds.)
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

N_IMAGES, CHANNELS, EPOCHS, TAPS = 90_000, 300, range(4), ("a", "b", "c", "d", "e")
MOST_BYTES = 2 * 2**30


def write(path: Path) -> None:
    """Random images, and random functions of them."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["images"] = rng.integers(0, 8, (N_IMAGES, 1, 6, 6), dtype=np.uint8)
        file["images"].attrs["intensities"] = 8
        file["labels"] = np.arange(N_IMAGES) % 2
        pixels = file["images"][()].reshape(N_IMAGES, -1).astype(np.float32)
        for epoch in EPOCHS:
            for tap in TAPS:
                file[f"epoch_{epoch:04d}/{tap}"] = (pixels @ rng.normal(size=(36, CHANNELS))).astype(np.float16)


@pytest.mark.slow
@pytest.mark.parametrize("decoders", ["tiny_text", "deep_text"])
def test_memory_of_a_large_file(tiny: Path, request: pytest.FixtureRequest, decoders: str) -> None:
    write(Path("mine.h5"))
    # In float32, as networks take them, the activations alone would need more than is allowed.
    assert N_IMAGES * CHANNELS * len(EPOCHS) * len(TAPS) * 4 > MOST_BYTES
    settings = yaml.safe_load(request.getfixturevalue(decoders))
    settings |= {"layers": [], "activations_file": "mine.h5", "data": {"evaluation_per_class": 100}}
    settings["probe"] = {"epochs": 1, "hidden_units": 4}
    settings["activations"] = {"group_size": 256}
    for fitting in ("fitting", "base_fitting"):
        settings[fitting] |= {"batch_size": 256}
    Path("mine.yaml").write_text(yaml.safe_dump(settings))
    done = subprocess.run([sys.executable, "-m", "ib_analysis.cli", "estimate-mi", "mine.yaml"], timeout=3000)
    assert done.returncode == 0
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(f"peak memory {peak / 2**30:.2f} GiB")
    assert peak < MOST_BYTES
