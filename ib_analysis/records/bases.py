"""The base of an experiment's images: which it is, and where it lies."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from decoders import PixelCNNPP
from ib_analysis.artifacts import Artifact, UserError
from ib_analysis.bases import BaseFeed, BaseRecipe, read_base
from ib_analysis.bases.feed import digests_of
from ib_analysis.data import DataConfig
from ib_analysis.experiment import Experiment
from ib_analysis.records.images import images_of

__all__ = ["base_artifact", "base_feed", "base_recipe", "load_base"]


def base_feed(experiment: Experiment) -> BaseFeed:
    """The images that the base is fitted to."""
    fitting = experiment.config.base_fitting
    return _feed(experiment.config.data, fitting.batch_size, fitting.validation_images)


@lru_cache(maxsize=1)
def _feed(data: DataConfig, batch_size: int, validation_images: int) -> BaseFeed:
    return BaseFeed(data, batch_size, validation_images)


def base_recipe(experiment: Experiment) -> BaseRecipe:
    """What the base is made from."""
    config, feed = experiment.config, base_feed(experiment)
    return BaseRecipe(feed.sha256, feed.space, config.base_network, config.base_fitting, config.base_seed)


def base_artifact(experiment: Experiment) -> Artifact:
    """The record of the base: the one that ships with the package if it is of this recipe, else one fitted here."""
    recipe = base_recipe(experiment)
    shipped = recipe.shipped() if experiment.config.base == "shipped" else None
    return shipped or recipe.at(Path(experiment.config.checkpoints) / "bases" / recipe.key)


def load_base(experiment: Experiment, device: torch.device) -> PixelCNNPP:
    """The base in evaluation mode, without gradients.

    Raises:
        UserError: it is not finished, or has seen evaluation images of this experiment.
    """
    artifact = base_artifact(experiment)
    _ = artifact.identity
    base, unseen = read_base(artifact.path, base_recipe(experiment).network)
    if len(unseen):
        seen = int((~np.isin(digests_of(images_of(experiment).evaluation.images), unseen)).sum())
        if seen:
            raise UserError(
                f"{seen} evaluation images are not among those that the base {artifact.path} is known not to have "
                "seen; fit one of this experiment's own (--base scratch)."
            )
    return base.to(device)
