"""The base of an experiment's images: which it is, and where it lies."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from decoders import ImageSpace, PixelCNNPP
from ib_analysis.artifacts import Artifact, UserError
from ib_analysis.bases import BaseFeed, BaseRecipe, read_base, recipe
from ib_analysis.bases.feed import LearnsFrom, digests_of
from ib_analysis.data import DataConfig
from ib_analysis.experiment import Experiment
from ib_analysis.records.images import images_of
from ib_analysis.spike_ins import Coins

__all__ = [
    "BASES",
    "base_artifact",
    "base_feed",
    "base_recipe",
    "forget_base_images",
    "is_shipped",
    "load_base",
    "recipe_on",
]

BASES = "bases"
"""Folder, under that of the checkpoints, of the bases that were fitted here."""


def base_feed(experiment: Experiment) -> BaseFeed:
    """The images that the base is fitted to."""
    fitting = experiment.config.base_fitting
    config = experiment.config
    return _feed(
        config.data, fitting.batch_size, fitting.validation_images, _coins(experiment), config.base_learns_from
    )


def forget_base_images() -> None:
    """The same as `forget_images` for the images that a base learns from."""
    _feed.cache_clear()


@lru_cache(maxsize=1)
def _feed(
    data: DataConfig, batch_size: int, validation_images: int, coins: Coins | None, learns_from: LearnsFrom
) -> BaseFeed:
    return BaseFeed(data, batch_size, validation_images, coins, learns_from)


def _coins(experiment: Experiment) -> Coins | None:
    count = experiment.config.spike_in
    return experiment.config.spike_in_options.coins(count) if count else None


def base_recipe(experiment: Experiment) -> BaseRecipe:
    """What the base is made from."""
    feed = base_feed(experiment)
    return recipe_on(experiment, feed.sha256, feed.space)


def recipe_on(experiment: Experiment, images: str, space: ImageSpace) -> BaseRecipe:
    """What the base is made from on images of this hash (`BaseRecipe.images`), looked at or not."""
    config = experiment.config
    return BaseRecipe(images, space, config.base_network, config.base_fitting, config.base_seed, _coins(experiment))


def base_artifact(experiment: Experiment) -> Artifact:
    """The record of the base: the one that ships with the package if it is of this recipe, else one fitted here."""
    wanted = base_recipe(experiment)
    shipped = wanted.shipped() if experiment.config.base == "shipped" else None
    return shipped or wanted.at(Path(experiment.config.checkpoints) / BASES / wanted.key)


def is_shipped(artifact: Artifact) -> bool:
    """Whether a base is part of the package, where nothing is written."""
    return artifact.path.is_relative_to(recipe.SHIPPED)


def load_base(experiment: Experiment, device: torch.device) -> PixelCNNPP:
    """The base in evaluation mode, without gradients.

    Raises:
        UserError: it is not finished, it is damaged, or it may have seen evaluation images of this experiment.
    """
    artifact = base_artifact(experiment)
    _ = artifact.identity
    if not artifact.is_whole:
        raise UserError(
            f"{artifact.path} is damaged, or not the base that its record tells of; run ib base "
            f"{experiment.config.name} to make it anew."
        )
    base, unseen = read_base(artifact.path, base_recipe(experiment).network)
    if len(base_feed(experiment).unseen):  # else images are drawn, and none is kept from anybody
        seen = int((~np.isin(digests_of(images_of(experiment).evaluation.images), unseen)).sum())
        if seen:
            raise UserError(
                f"{seen} evaluation images are not among those that the base {artifact.path} is known not to have "
                "seen; fit one of this experiment's own (--base scratch)."
            )
    return base.to(device)
