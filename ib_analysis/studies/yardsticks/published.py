"""Accuracies on CIFAR-10 that others published, by the architecture that they are a yardstick for.

All are of 32x32 pixels in colour, trained on all 50,000 training images and judged on the 10,000 test images. Where a
number could be read at its source this says so; the others are as commonly quoted.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CHANNELS", "PUBLISHED", "RESOLUTION", "TEST_IMAGES", "TRAINING_IMAGES", "Published"]

RESOLUTION, CHANNELS, TRAINING_IMAGES, TEST_IMAGES = 32, 3, 50_000, 10_000
"""The setting of CIFAR-10 as published: side in pixels, channels, images."""
_NOT_READ = "not read at its source"


@dataclass(frozen=True)
class Published:
    """One published accuracy.

    Arguments:
        name: of the method and network.
        bits: of weights and activations, and what stays real-valued.
        accuracy: share of the test images, 0 to 1.
        epochs: passes over the training images; None where it is not known here.
        source: of the number.
        read: where the number was read, or that it was not.
    """

    name: str
    bits: str
    accuracy: float
    epochs: int | None
    source: str
    read: str


PUBLISHED: dict[str, tuple[Published, ...]] = {
    "binary": (
        Published(
            "IR-Net, ResNet-20", "1/1, first and last layer real", 0.865, None, "Qin et al. 2020, arXiv 1909.10788",
            "authors' repository",
        ),
        Published(
            "IR2Net, ResNet-20", "1/1, first and last layer real", 0.872, None, "Xue et al. 2022, arXiv 2210.02637",
            _NOT_READ,
        ),
        Published(
            "FracBNN, ResNet-20", "1/1.4, first layer binary, last real", 0.891, 250,
            "Zhang et al. 2021, arXiv 2012.12206", "authors' repository (accuracy and bits)",
        ),
    ),
    "rir": (
        Published("ResNet-32", "real", 0.9249, 82, "Targ et al. 2016, arXiv 1603.08029", _NOT_READ),
        Published("wide ResNet", "real", 0.9395, 82, "Targ et al. 2016, arXiv 1603.08029", _NOT_READ),
        Published("wide ResNet in ResNet", "real", 0.9499, 82, "Targ et al. 2016, arXiv 1603.08029", _NOT_READ),
    ),
}  # fmt: skip
"""Architecture (`encoder.architecture`) -> its yardsticks."""
