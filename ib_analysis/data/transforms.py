"""The form in which images are used: resolution, channels and intensities."""

from __future__ import annotations

import numpy as np

from ib_analysis.artifacts import UserError
from ib_analysis.data.config import DataConfig
from ib_analysis.data.interface import Space

__all__ = ["requantise", "resize", "to_greyscale", "transform", "transformed_space"]


def resize(images: np.ndarray, resolution: int) -> np.ndarray:
    """Resize to a square, bilinear with antialiasing, after which a longer side is cropped to its centre.

    Arguments:
        images: shape (N, C, H, W), uint8.

    Returns:
        shape (N, C, resolution, resolution), uint8.

    >>> resize(np.full((1, 3, 8, 12), 7, np.uint8), 4).shape
    (1, 3, 4, 4)
    """
    import torch
    from torchvision.transforms.v2 import functional

    if images.shape[2:] == (resolution, resolution):
        return images
    # `resize` with one number sets the shorter side and keeps the proportions.
    resized = functional.resize(torch.from_numpy(images), [resolution], antialias=True)
    return functional.center_crop(resized, [resolution, resolution]).numpy()


def to_greyscale(images: np.ndarray) -> np.ndarray:
    """Luma 0.2989 R + 0.587 G + 0.114 B (ITU-R Recommendation BT.601), rounded down; grey images stay.

    Arguments:
        images: shape (N, C, H, W), uint8, C is 1 or 3.

    Returns:
        shape (N, 1, H, W), uint8.
    """
    import torch
    from torchvision.transforms.v2 import functional

    if images.shape[1] == 1:
        return images
    return functional.rgb_to_grayscale(torch.from_numpy(images)).numpy()


def requantise(images: np.ndarray, intensities: int, bits: int) -> np.ndarray:
    """Keep ``bits`` bits: floor(x 2^bits / intensities), which is ``x >> (8 - bits)`` for 256 intensities.

    >>> requantise(np.array([0, 8, 9, 16], np.uint8), intensities=17, bits=1)
    array([0, 0, 1, 1], dtype=uint8)
    """
    table = (np.arange(intensities) * 2**bits // intensities).astype(np.uint8)
    return table[images]


def transformed_space(native: Space, config: DataConfig) -> Space:
    """What becomes of images of the native space.

    Raises:
        UserError: more bits are asked for than the images have.
    """
    channels, height, width = native.image_shape
    if config.resolution is not None:
        height = width = config.resolution
    if config.greyscale:
        channels = 1
    intensities = native.intensities
    if config.bits is not None:
        intensities = 2**config.bits
        if intensities > native.intensities:
            raise UserError(
                f"data.bits is {config.bits}, but the images of {config.source!r} have only "
                f"{native.intensities} intensities; choose at most {native.intensities.bit_length() - 1} "
                "bits, or leave it out."
            )
    return Space((channels, height, width), intensities, native.n_classes)


def transform(images: np.ndarray, native: Space, config: DataConfig) -> np.ndarray:
    """Resolution, then channels, then bits.

    Arguments:
        images: shape (N, C, H, W), uint8, from the native space.

    Returns:
        uint8 images from `transformed_space`.
    """
    if config.resolution is not None:
        images = resize(images, config.resolution)
    if config.greyscale:
        images = to_greyscale(images)
    if config.bits is not None:
        images = requantise(images, native.intensities, config.bits)
    return images
