"""The registry of image sources: a new one is a new file, its name in `SourceName`, and one line here."""

from __future__ import annotations

from ib_analysis.data import activations_file, cifar, digits, factors, folder
from ib_analysis.data.config import DataConfig
from ib_analysis.data.interface import ImageData, Progress, Source, Space

__all__ = ["SOURCES", "image_space", "load_data", "split_sizes"]

SOURCES: dict[str, Source] = {
    "factors": factors.SOURCE,
    "digits": digits.SOURCE,
    "cifar10": cifar.CIFAR10,
    "cifar100": cifar.CIFAR100,
    "cinic10": folder.CINIC10,
    "image_folder": folder.IMAGE_FOLDER,
    "activations_file": activations_file.SOURCE,
}


def load_data(config: DataConfig, progress: Progress | None = None, recheck: bool = True) -> ImageData:
    """Load, split and transform a data set.

    Arguments:
        config: which images, in which form.
        progress: called while a folder or tar is packed, which is done once; without it a bar is shown on a
            terminal.
        recheck: False: files that this run has compared with what was packed of them, and hashed, are taken as they
            were found then (see `ib_analysis.data.verified`).

    Raises:
        UserError: whatever keeps the images from being used, in one sentence that says what to do.

    >>> data = load_data(DataConfig(source="digits"))
    >>> data.image_shape, data.intensities, len(data.class_names)
    ((1, 8, 8), 17, 10)
    """
    return SOURCES[config.source].load(config, progress, recheck)


def image_space(config: DataConfig, recheck: bool = True) -> Space:
    """What the images are like: ((channels, height, width), intensities, number of classes).

    Only `image_folder` has to look at files for it (and packs them, if this was not done before); for `recheck` see
    `load_data`.

    >>> image_space(DataConfig(source="cifar10", resolution=16, bits=3))
    Space(image_shape=(3, 16, 16), intensities=8, n_classes=10)
    """
    return SOURCES[config.source].space(config, recheck)


def split_sizes(config: DataConfig, recheck: bool = True) -> dict[str, int]:
    """The number of images in each split, without downloading or loading anything where that is possible; for `recheck`
    see `load_data`.

    >>> split_sizes(DataConfig(source="cifar10"))
    {'encoder': 25000, 'decoder': 25000, 'evaluation': 10000}
    """
    return SOURCES[config.source].sizes(config, recheck)
