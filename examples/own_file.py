"""The same for a network that torch knows nothing of: scikit-learn's perceptron, in a file written by plain h5py.

What lies where in the file: docs/own_networks.md. `write` needs neither torch nor this project.

    python examples/own_file.py --steps 200
"""

from __future__ import annotations

import argparse
import sys

import h5py
import numpy as np
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier


def write(path: str) -> None:
    """Train on half of the digits; write the other half, and the hidden layers at two epochs."""
    digits = load_digits()
    images, labels = digits.images.astype(np.uint8), digits.target
    network = MLPClassifier(hidden_layer_sizes=(32, 8), random_state=0)
    with h5py.File(path, "w") as file:
        file.attrs.update({"version": 1, "made_with": "scikit-learn"})
        file["images"] = images[1::2]
        file["images"].attrs.update({"axes": "NHW", "intensities": 17})
        file["labels"] = labels[1::2]
        for epoch in range(1, 21):
            network.partial_fit(digits.data[::2] / 16, labels[::2], classes=range(10))
            if epoch in (1, 20):
                first = np.maximum(digits.data[1::2] / 16 @ network.coefs_[0] + network.intercepts_[0], 0)
                second = np.maximum(first @ network.coefs_[1] + network.intercepts_[1], 0)
                for order, (name, values) in enumerate({"first": first, "second": second}.items()):
                    file[f"epoch_{epoch:04d}/{name}"] = values.astype(np.float32)
                    file[f"epoch_{epoch:04d}/{name}"].attrs["order"] = order


def main(arguments: list[str] | None = None):
    """Write and measure, as `ib figures digits --name own_file --activations_file own_file.h5` does."""
    parser = argparse.ArgumentParser(description="Information in a file of activations.")
    parser.add_argument("--steps", type=int, default=800, help="steps of each reader's fit")
    steps = parser.parse_args(arguments).steps
    fitting = {"steps": steps, "validate_every": steps // 20}
    write("own_file.h5")

    from ib_analysis import study

    mine = study("own_file", "digits", activations_file="own_file.h5", fitting=fitting)
    mine.figures()
    return mine.results


if __name__ == "__main__":
    main(sys.argv[1:])
