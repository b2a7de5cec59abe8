"""From a config to an encoder: the place where architectures are registered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch

from ib_analysis.artifacts import UserError
from ib_analysis.encoders.autoencoder import ResNetAutoencoder
from ib_analysis.encoders.binary_network import BinaryAutoencoder, BinaryClassifier
from ib_analysis.encoders.config import EncoderConfig, Task
from ib_analysis.encoders.dense import DenseClassifier
from ib_analysis.encoders.interface import TappedNetwork
from ib_analysis.encoders.joint_network import ResNetJoint
from ib_analysis.encoders.resnet import ResNetClassifier
from ib_analysis.encoders.rir import RiRAutoencoder, RiRClassifier

__all__ = ["build_encoder", "tap_names"]

Builder = Callable[[EncoderConfig, Sequence[int], int, int, int], TappedNetwork]

# A new architecture is one new file and one line here.
BUILDERS: dict[tuple[str, Task], Builder] = {
    ("resnet", "classification"): lambda config, image_shape, intensities, n_classes, seed: ResNetClassifier(
        config, image_shape, intensities, n_classes, seed
    ),
    ("resnet", "autoencoding"): lambda config, image_shape, intensities, n_classes, seed: ResNetAutoencoder(
        config, image_shape, intensities, seed
    ),
    ("resnet", "joint"): lambda config, image_shape, intensities, n_classes, seed: ResNetJoint(
        config, image_shape, intensities, n_classes, seed
    ),
    ("rir", "classification"): lambda config, image_shape, intensities, n_classes, seed: RiRClassifier(
        config, image_shape, intensities, n_classes, seed
    ),
    ("rir", "autoencoding"): lambda config, image_shape, intensities, n_classes, seed: RiRAutoencoder(
        config, image_shape, intensities, seed
    ),
    ("binary", "classification"): lambda config, image_shape, intensities, n_classes, seed: BinaryClassifier(
        config, image_shape, intensities, n_classes, seed
    ),
    ("dense", "classification"): lambda config, image_shape, intensities, n_classes, seed: DenseClassifier(
        config, image_shape, intensities, n_classes, seed
    ),
    ("binary", "autoencoding"): lambda config, image_shape, intensities, n_classes, seed: BinaryAutoencoder(
        config, image_shape, intensities, seed
    ),
}


def build_encoder(
    config: EncoderConfig,
    task: Task,
    image_shape: Sequence[int],
    intensities: int,
    n_classes: int,
    seed: int,
) -> TappedNetwork:
    """Build a freshly initialised encoder; the global random state is left as it was.

    Arguments:
        config: see `EncoderConfig`.
        task: ``classification`` gives logits (B, n_classes), ``autoencoding`` an image in [0, 1], ``joint`` both.
        image_shape: (C, H, W), at least 4 pixels a side.
        intensities: number of levels of a pixel, 2..256.
        n_classes: number of classes; autoencoders do not use it.
        seed: of the initialisation.

    Raises:
        UserError: no such architecture for this task, or the images are too small for three stages.
    """
    if min(image_shape[1:]) < 4:
        raise UserError(
            f"Images of {image_shape[1]}x{image_shape[2]} pixels are too small for three stages; use 4x4 at least."
        )
    if (config.architecture, task) not in BUILDERS:
        known = ", ".join(f"{architecture} for {kind}" for architecture, kind in BUILDERS)
        raise UserError(f"There is no encoder {config.architecture!r} for the task {task!r}; there is {known}.")
    with torch.random.fork_rng(devices=[]):
        return BUILDERS[config.architecture, task](config, image_shape, intensities, n_classes, seed)


@lru_cache(maxsize=32)
def tap_names(
    config: EncoderConfig, task: Task, image_shape: tuple[int, ...], intensities: int, n_classes: int
) -> tuple[str, ...]:
    """Names of the taps of a network, from input to output, as the network itself tells them.

    Arguments and errors are those of `build_encoder`.

    >>> tap_names(EncoderConfig(depth=8), "classification", (3, 32, 32), 256, 10)
    ('h1', 'h2', 'h3', 'h4')
    """
    return build_encoder(config, task, image_shape, intensities, n_classes, seed=0).layers
