"""Nothing is fitted to, or judged by, the images that it is evaluated on: checked at every step of every fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from decoders import Minibatch, TrainingData
from ib_analysis.artifacts import UserError
from ib_analysis.data import ImageData, ImageHashes

__all__ = ["EvaluationImages", "GuardedData", "ImageGuard", "image_guard"]


class EvaluationImages:
    """The evaluation images that no fit may see, and a look-up of others among them.

    An image is looked up by 64 bits (`ib_analysis.data.ImageHashes`) in the sorted list of those of the evaluation
    images, and what is found there is compared pixel by pixel: no other image is mistaken for one of them. An
    evaluation image whose pixels also occur among the decoder images (independent draws may repeat a small image) may
    be seen and is not on the list.

    Arguments:
        evaluation: shape (n, C, H, W), uint8: images that must not be seen.
        allowed: shape (m, C, H, W), uint8: the decoder images.
    """

    def __init__(self, evaluation: Tensor, allowed: Tensor) -> None:
        self._hashes = ImageHashes(tuple(evaluation.shape[1:]))
        hashes = self._hashes(evaluation)
        secret = ~torch.isin(hashes, self._hashes(allowed))
        order = torch.argsort(hashes[secret])
        self._secret, self._images = hashes[secret][order], evaluation[secret][order]

    def __len__(self) -> int:
        """Evaluation images on the list."""
        return len(self._secret)

    def among(self, images: Tensor) -> Tensor:
        """Which images are on the list: shape (n,), bool.

        Arguments:
            images: shape (n, C, H, W), uint8.
        """
        found = torch.zeros(len(images), dtype=torch.bool)
        if len(self) and len(images):
            hashes = self._hashes(images)
            places = torch.searchsorted(self._secret, hashes).clamp_max(len(self) - 1)
            for k in (self._secret[places] == hashes).nonzero().flatten().tolist():
                found[k] = torch.equal(self._images[places[k]], images[k])
        return found


class GuardedData:
    """Hands on minibatches (`decoders.TrainingData`), and stops the fit at the first evaluation image among them.

    Arguments:
        data: the minibatches.
        secret: what must not be among them.
        content: what of images is compared: all of it, or without the coins of spike-ins, which may fall alike.
    """

    def __init__(
        self,
        data: TrainingData,
        secret: EvaluationImages,
        content: Callable[[Tensor], Tensor] = lambda images: images,
    ) -> None:
        self._data, self._secret, self._content = data, secret, content

    def minibatch(self, rng: np.random.Generator) -> Minibatch:
        """See `decoders.TrainingData`.

        Raises:
            UserError: an evaluation image is among the images.
        """
        return self._checked(self._data.minibatch(rng), "a training minibatch")

    def validation(self) -> Iterator[Minibatch]:
        """See `decoders.TrainingData`.

        Raises:
            UserError: an evaluation image is among the images.
        """
        for minibatch in self._data.validation():
            yield self._checked(minibatch, "the validation images")

    def _checked(self, minibatch: Minibatch, where: str) -> Minibatch:
        _refuse(self._secret.among(self._content(minibatch.images.cpu())), "a decoder", where)
        return minibatch


class ImageGuard:
    """Stops a fit at the first evaluation image that it looks at, where a fit names images by their places
    (`ib_analysis.information.guard.Guard`).

    Arguments:
        images: shape (N, C, H, W), uint8: all images, in the order of their places.
        secret: what must not be seen.
        what: is fitted, for the sentence.
    """

    def __init__(self, images: Tensor, secret: EvaluationImages, what: str) -> None:
        self._leaks, self._what = secret.among(images), what

    def __call__(self, places: Sequence[int] | Tensor, where: str) -> None:
        """Look the images up.

        Raises:
            UserError: an evaluation image is among them.
        """
        if isinstance(places, range):
            places = torch.arange(places.start, places.stop, places.step)
        _refuse(self._leaks[torch.as_tensor(places, dtype=torch.long).cpu()], self._what, where)


def image_guard(data: ImageData, what: str) -> ImageGuard:
    """The guard for whatever names images in the order of activations: decoder images, then evaluation images.

    Arguments:
        what: is fitted, for the sentence.
    """
    decoder, evaluation = torch.from_numpy(data.decoder.images), torch.from_numpy(data.evaluation.images)
    return ImageGuard(torch.cat([decoder, evaluation]), EvaluationImages(evaluation, decoder), what)


def _refuse(leaked: Tensor, what: str, where: str) -> None:
    if leaked.any():
        raise UserError(
            f"Evaluation images leak into the fit of {what}: {int(leaked.sum())} of the {len(leaked)} images of "
            f"{where} are evaluation images, so that what is measured on them would prove nothing; mend the splits (or "
            "the code that draws the images) and fit again."
        )
