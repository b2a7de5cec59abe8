"""The images that a base learns from: all that are not evaluation images, or fresh draws where they are drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from decoders import ImageSpace, Minibatch
from ib_analysis.artifacts import UserError, sha256_of_plain
from ib_analysis.data import DataConfig, FactorsConfig, ImageData, draw_factors, image_digests, load_data
from ib_analysis.spike_ins import Coins, draw_coins

__all__ = ["BaseFeed", "LearnsFrom", "digests_of"]

LearnsFrom = Literal["all", "encoder_images"]
"""Which images a base is fitted to."""

VALIDATION_STREAM = (0, 3)
"""Seed of the draws that a base is validated on, whatever `data.seed` is: they choose the weights that are kept, and
experiments with other splits share the base. (seed, 0) to (seed, 2) are the splits' (`ib_analysis.data.factors`)."""


def digests_of(images: np.ndarray) -> np.ndarray:
    """64 bits of each image's SHA-256: shape (N, C, H, W), uint8, to (N,), int64."""
    return image_digests(images)[:, :8].copy().view(np.int64)[:, 0]


class BaseFeed:
    """Minibatches without conditions (`decoders.TrainingData`).

    Experiments on parts of a data set (`data.per_class`) share the base of the whole.

    Arguments:
        config: of the experiment's images.
        batch_size: images of a minibatch.
        validation_images: at most so many images judge a fit; they are not fitted to.
        coins: that are written over all images, those of evaluation and validation images once, others anew each time.
        learns_from: all images, or those of encoders only, so that the base has not seen what decoders are fitted to.

    Attributes:
        space: the images.
        sha256: of what the base may learn from and what it must not see: split by split for finite data sets, whichever
            way they are read; of the distribution where images are drawn.
        evaluation: images that the base must not have seen, (N, C, H, W), uint8.
        unseen: their `digests_of` without coins, (N,), int64; empty where images are drawn, which may repeat one by
            chance.

    Raises:
        UserError: the images cannot be loaded, or none is left to learn from.
    """

    def __init__(
        self,
        config: DataConfig,
        batch_size: int,
        validation_images: int,
        coins: Coins | None = None,
        learns_from: LearnsFrom = "all",
    ) -> None:
        self._batch_size, self._coins = batch_size, coins
        self._drawn = config.factors if config.source == "factors" else None
        data = whole_data(config)
        self.space = ImageSpace(*data.image_shape, data.intensities)
        self.evaluation = self._with_coins(data.evaluation.images)
        if self._drawn is not None:
            _check_streams(self._drawn, batch_size, validation_images)
            sizes = {"size": self._drawn.size, "levels": self._drawn.noise_levels, "grain": self._drawn.noise_grain}
            self.sha256 = sha256_of_plain({"factors": sizes})
            rng = np.random.default_rng(VALIDATION_STREAM)
            self._set_validation(draw_factors(validation_images, self._drawn, rng).images)
            self.unseen = np.empty(0, dtype=np.int64)
            return
        self.sha256 = data.sha256
        if learns_from == "encoder_images":
            self.sha256 = sha256_of_plain({"data": data.sha256, "learns_from": learns_from})
        self.unseen = digests_of(data.evaluation.images)
        chosen = np.random.default_rng(0).permutation(data.n_validation)[:validation_images]
        validation = data.validation.images[np.sort(chosen)]
        self._set_validation(validation)
        # What is like a validation image without being one has its group: then the whole slice, which groups do not
        # leave, is kept from fitting.
        grouped = config.group_folders or config.group_file is not None
        held = np.arange(data.n_validation) if grouped else chosen
        learned = np.ones(len(data.decoder), dtype=bool)
        learned[len(data.fitting) + held] = False
        secret = [self.unseen, digests_of(validation)]
        if learns_from == "encoder_images":
            learned[:] = False
            secret.append(digests_of(data.decoder.images))
        others = np.concatenate([data.encoder.images, data.decoder.images[learned]])
        # An image that other splits have too must be on one side only.
        judged = np.isin(digests_of(others), np.concatenate(secret))
        self._pool = others[~judged]
        if not len(self._pool):
            raise UserError(
                "There is no image that a base could learn from; add images, or leave base_learns_from at all."
            )

    def standardisation(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Nothing: there are no cells."""
        return {}

    def guarded(self) -> BaseFeed:
        """Itself: no evaluation image is in what it draws from; draws may repeat one."""
        return self

    @property
    def facts(self) -> dict[str, Any]:
        """Nothing beside the record of the fit."""
        return {}

    def minibatch(self, rng: np.random.Generator) -> Minibatch:
        """Images drawn at random, a pure function of ``rng``."""
        if self._drawn is not None:
            images = draw_factors(self._batch_size, self._drawn, rng).images
        else:
            images = self._pool[rng.integers(len(self._pool), size=self._batch_size)]
        return Minibatch(torch.from_numpy(self._with_coins(images, rng)))

    def _with_coins(self, images: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        """The images with coins that fall by a generator, or are those of an experiment's evaluation images."""
        if self._coins is None:
            return images
        shape = (len(images), self._coins.count)
        if rng is None:
            fallen = draw_coins(*shape, "evaluation", self._coins.seed)
        else:
            fallen = (rng.random(shape) < 0.5).astype(np.uint8)
        return self._coins.shown(images, fallen, self.space.intensities)

    def _set_validation(self, images: np.ndarray) -> None:
        self._validation = torch.from_numpy(self._with_coins(images, np.random.default_rng((*VALIDATION_STREAM, 1))))

    def validation(self) -> Iterator[Minibatch]:
        """The validation images, the same ones in the same order each time."""
        for part in self._validation.split(128):
            yield Minibatch(part)


def _check_streams(config: FactorsConfig, batch_size: int, validation_images: int) -> None:
    """Refuse minibatches that may be a whole split.

    A minibatch's generator has the seed (seed, step), a split's (seed, number): with equal seeds and sizes one step's
    images are the split's, image by image.
    """
    for name, size in (
        ("data.factors.n_evaluation", config.n_evaluation),
        ("base_fitting.validation_images", validation_images),
    ):
        if batch_size == size:
            raise UserError(
                f"base_fitting.batch_size and {name} are both {size}: a minibatch of the base could be drawn from the "
                "same random numbers as the images that it is judged on; change one of them."
            )


def whole_data(config: DataConfig) -> ImageData:
    """The images of a config without its caps on their number."""
    if config.source == "factors":
        return load_data(config, recheck=False)
    return load_data(dataclasses.replace(config, per_class=None, evaluation_per_class=None), recheck=False)
