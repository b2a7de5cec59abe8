"""One fit of the PixelCNN of the package encoding_information, in an interpreter that has it (and not this project).

    python benchmarks/peer/encoding_information_pixelcnn.py FOLDER CPU_SECONDS

Reads FOLDER/train.npy and FOLDER/test.npy (uint8, shape (N, H, W)) and writes FOLDER/peer.json;
`benchmarks/peer_pixelcnn.py` calls it. The settings of the model and its fit are the package's own; only the number
of epochs is chosen, by timing a few steps.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from encoding_information.models.pixel_cnn import PixelCNN

STEPS_PER_EPOCH = 100
"""The package's default."""


def main() -> None:
    folder, budget = Path(sys.argv[1]), float(sys.argv[2])
    train, test = np.load(folder / "train.npy"), np.load(folder / "test.npy")

    def seconds(epochs: int, steps: int) -> float:
        """CPU time of a fit that keeps its last weights (patience=None)."""
        start = time.process_time()
        settings = {"max_epochs": epochs, "steps_per_epoch": steps, "patience": None}
        PixelCNN().fit(train, **settings, model_seed=0, data_seed=0, verbose=False)
        return time.process_time() - start

    seconds(1, 1)  # the first fit compiles longer than those after it
    # A fit compiles, validates once, and then trains and validates in each epoch.
    base, more_steps, more_epochs = seconds(1, 2), seconds(1, 12), seconds(2, 2)
    step = (more_steps - base) / 10
    if step <= 0:
        raise SystemExit("The machine is too busy to time a step of the peer; try again when it is quiet.")
    validation = max(0.0, more_epochs - base - 2 * step)
    fixed = max(0.0, base - validation - 2 * step)
    epochs = max(1, int((budget - fixed) / (STEPS_PER_EPOCH * step + validation)))

    model = PixelCNN()
    wall, cpu = time.perf_counter(), time.process_time()
    # With patience it keeps the weights of the best validation, as its users would.
    history = model.fit(train, max_epochs=epochs, patience=epochs, model_seed=0, data_seed=0, verbose=False)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    nats = model.compute_negative_log_likelihood(test, data_seed=0, average=True, verbose=False)  # per pixel
    found = {
        "package": f"encoding_information {version('encoding_information')}",
        "bits": float(nats) * test[0].size / float(np.log(2)),
        "epochs": epochs,
        "validations": len(history),
        "cpu_seconds": cpu,
        "seconds": wall,
    }
    (folder / "peer.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
