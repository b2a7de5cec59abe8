"""What an experiment's classifiers were trained and judged on, and what keeps their accuracy from a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ib_analysis.studies.yardsticks.published import CHANNELS, RESOLUTION, TEST_IMAGES, TRAINING_IMAGES, Published

__all__ = ["Setting", "obstacles"]


@dataclass(frozen=True)
class Setting:
    """Images and training of a classifier.

    Arguments:
        source: name of the images' source (`data.source`).
        height, width: in pixels.
        channels: 1 for grey, 3 for colour.
        intensities: levels of a pixel.
        n_training, n_test: images that it was trained and judged on.
        epochs: passes over the training images.
    """

    source: str
    height: int
    width: int
    channels: int
    intensities: int
    n_training: int
    n_test: int
    epochs: int

    @property
    def size(self) -> str:
        """Size and colour of the images, in words."""
        return f"{self.height}x{self.width} {'grey' if self.channels == 1 else 'colour'}"

    def __str__(self) -> str:
        return (
            f"{self.source}, {self.size}, {self.n_training:,} training images, {self.n_test:,} test images, "
            f"{self.epochs} epochs"
        )


def obstacles(setting: Setting, published: Sequence[Published]) -> list[str]:
    """Why an accuracy cannot be compared with published ones; empty where images and split are the same.

    Arguments:
        published: those that it would be compared with.

    >>> half = Setting("cifar10", 32, 32, 3, 256, 25_000, 10_000, 300)
    >>> obstacles(half, [])
    ['25,000 of 50,000 training images']
    """
    if setting.source != "cifar10":
        return [f"other images ({setting.source})"]
    found = []
    if (setting.height, setting.width) != (RESOLUTION, RESOLUTION):
        found.append(f"{setting.height}x{setting.width} instead of {RESOLUTION}x{RESOLUTION} pixels")
    if setting.channels != CHANNELS:
        found.append("grey instead of colour")
    if setting.intensities != 256:
        found.append(f"{setting.intensities} instead of 256 intensities")
    if setting.n_training != TRAINING_IMAGES:
        found.append(f"{setting.n_training:,} of {TRAINING_IMAGES:,} training images")
    if setting.n_test != TEST_IMAGES:
        found.append(f"{setting.n_test:,} of {TEST_IMAGES:,} test images")
    known = [one.epochs for one in published if one.epochs is not None]
    if known and setting.epochs < min(known):
        found.append(f"{setting.epochs} epochs where {min(known)} and more were published")
    return found
