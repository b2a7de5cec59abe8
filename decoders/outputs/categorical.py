"""One probability per intensity: for images of few intensities, whose distribution need not be smooth."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decoders.config import ImageSpace
from decoders.outputs.base import OutputDistribution, exact

__all__ = ["Categorical"]


class Categorical(OutputDistribution):
    """Softmax over the intensities; in colour, channel c is coupled nonlinearly to channels 0..c-1 of its pixel.

    Grey images: the parameters are the logits. Colour: logits_c = W_c elu(features_c + sum of embeddings of the
    earlier channels' values) + b_c, so that any dependence between the channels can be learned.

    Arguments:
        image: the images.
    """

    init_scale = 0.1  # near-uniform logits: at scale 1 the first code lengths would exceed the uniform code's

    def __init__(self, image: ImageSpace) -> None:
        super().__init__(image)
        self.n_uniforms = image.channels
        if image.channels == 1:
            self.n_parameters = self.n_own = image.intensities
            self.n_pulls = 1
            return
        self.features = max(32, image.intensities)
        self.n_parameters = image.channels * self.features
        pairs = image.channels * (image.channels - 1) // 2
        self.embeddings = nn.ModuleList(nn.Embedding(image.intensities, self.features) for _ in range(pairs))
        self.readouts = nn.ModuleList(nn.Linear(self.features, image.intensities) for _ in range(image.channels))
        for weight in self.embeddings.parameters():
            nn.init.normal_(weight, std=0.3)

    def _logits(self, features: Tensor, channel: int, earlier: list[Tensor]) -> Tensor:
        """(..., D) features of a channel and the values (...) of the earlier ones to logits (..., intensities)."""
        first = channel * (channel - 1) // 2
        for index, values in enumerate(earlier):
            features = features + self.embeddings[first + index](values)
        return self.readouts[channel](F.elu(features))

    def channel_log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Log-probability of each channel given the earlier ones, in nats: see the base class."""
        if self.image.channels == 1:
            return -F.cross_entropy(parameters, x[:, 0], reduction="none").unsqueeze(1)
        features = parameters.unflatten(1, (self.image.channels, self.features)).movedim(2, -1)
        channels = []
        for channel in range(self.image.channels):
            earlier = [x[:, index] for index in range(channel)]
            logits = self._logits(features[:, channel], channel, earlier)  # (B, H, W, intensities)
            channels.append(-F.cross_entropy(logits.movedim(-1, 1), x[:, channel], reduction="none"))
        return torch.stack(channels, 1)

    def own_log_prob(self, own: Tensor, x: Tensor) -> Tensor:
        """Log-probability of every pixel under logits of its own (grey images): see the base class."""
        with exact(own) as own:
            return -F.cross_entropy(own, x[:, 0].long(), reduction="none")

    def pulled(self, parameters: Tensor, own: Tensor, pulls: Tensor) -> Tensor:
        """A product of experts: log-probabilities are added, weighted by the pull; see the base class."""
        return parameters if self.n_own == 0 else parameters + pulls * own.log_softmax(1)

    def sample(self, parameters: Tensor, uniforms: Tensor) -> Tensor:
        """Draw pixels by the inverse of each channel's CDF."""
        if self.image.channels == 1:
            return self._draw(parameters, uniforms)
        features = parameters.unflatten(1, (self.image.channels, self.features))
        values: list[Tensor] = []
        for channel in range(self.image.channels):
            logits = self._logits(features[:, channel], channel, values)
            values.append(self._draw(logits, uniforms[:, channel : channel + 1])[:, 0])
        return torch.stack(values, 1)

    @staticmethod
    def _draw(logits: Tensor, uniforms: Tensor) -> Tensor:
        # The last intensity takes what rounding leaves of the total.
        passed = logits.softmax(1).cumsum(1)[:, :-1] <= uniforms.to(logits.dtype)
        return passed.sum(1, keepdim=True)
