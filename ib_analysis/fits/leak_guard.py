"""No decoder is fitted to, or judged by, the images that it is evaluated on: checked at every step of every fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from decoders import Minibatch, TrainingData
from ib_analysis.artifacts import UserError

__all__ = ["GuardedData"]


class GuardedData:
    """Hands on minibatches (`decoders.TrainingData`), and stops the fit at the first evaluation image among them.

    An image is looked up by 64 bits, h(x) = sum_i w_i x_i mod 2^64 with odd random w, in the sorted list of those of
    the evaluation images, and what is found there is compared pixel by pixel: no other image is mistaken for one of
    them. An evaluation image whose pixels also occur among the decoder images (independent draws may repeat a small
    image) may be seen and is not on the list.

    Arguments:
        data: the minibatches.
        evaluation: shape (n, C, H, W), uint8: images that must not be seen.
        allowed: shape (m, C, H, W), uint8: the decoder images.
        content: what of images is compared: all of it, or without the coins of spike-ins, which may fall alike.
    """

    def __init__(
        self,
        data: TrainingData,
        evaluation: Tensor,
        allowed: Tensor,
        content: Callable[[Tensor], Tensor] = lambda images: images,
    ) -> None:
        self._data, self._content = data, content
        evaluation, allowed = content(evaluation), content(allowed)
        draws = np.random.default_rng(0).integers(-(2**62), 2**62, size=math.prod(evaluation.shape[1:]))
        self._weights = torch.from_numpy(2 * draws + 1)
        hashes = self._hashes(evaluation)
        secret = ~torch.isin(hashes, self._hashes(allowed))
        order = torch.argsort(hashes[secret])
        self._secret, self._images = hashes[secret][order], evaluation[secret][order]

    def __len__(self) -> int:
        """Evaluation images on the list."""
        return len(self._secret)

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
        images = self._content(minibatch.images.cpu())
        if len(self) and len(images):
            hashes = self._hashes(images)
            places = torch.searchsorted(self._secret, hashes).clamp_max(len(self) - 1)
            found = (self._secret[places] == hashes).nonzero().flatten()
            leaked = [int(k) for k in found if torch.equal(self._images[places[k]], images[k])]
            if leaked:
                raise UserError(
                    f"Evaluation images leak into the fit of a decoder: {len(leaked)} of the {len(images)} images of "
                    f"{where} are evaluation images, so that its code lengths would prove nothing; mend the splits (or "
                    "the code that draws minibatches) and fit again."
                )
        return minibatch

    def _hashes(self, images: Tensor) -> Tensor:
        """64 bits of each image, shape (n,), int64 (sums wrap around); in parts, so that any number fits in memory."""
        flat = images.flatten(1)
        parts = [(part.long() * self._weights).sum(1) for part in flat.split(4096)]
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)
