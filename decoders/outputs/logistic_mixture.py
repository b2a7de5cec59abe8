"""Discretised mixture of logistics, sections 2.1 and 2.2 of Salimans et al. 2017 (arXiv 1701.05517)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from decoders.config import ImageSpace
from decoders.outputs.base import OutputDistribution, exact

__all__ = ["LogisticMixture"]

_LARGEST_LOG_SCALE = 8.0
"""Far wider than all intensities together. Beyond, the width of a bin in units of the scale rounds to nothing, and the
gradient of its logarithm is not a number."""


class LogisticMixture(OutputDistribution):
    """A mixture of logistics integrated over each intensity's bin; the two edge bins take the tails.

    Values are scaled to [-1, 1]. One mixture indicator is shared by the channels of a pixel; the means of later
    channels are linear in the true values of earlier ones (equation 3).

    Arguments:
        image: the images.
        components: logistics, M. A pixel takes 3M parameters (1 channel) or 10M (3 channels).
        log_scale_min: lower clamp of the log-scale.
    """

    def __init__(self, image: ImageSpace, components: int, log_scale_min: float) -> None:
        super().__init__(image)
        self.components = components
        self.log_scale_min = log_scale_min
        self.n_couplings = image.channels * (image.channels - 1) // 2
        self.n_parameters = components * (1 + 2 * image.channels + self.n_couplings)
        self.n_uniforms = 1 + image.channels
        self.n_own = 2 * image.channels + self.n_couplings  # one logistic per channel
        self.n_hints = image.channels
        self.n_pulls = components * image.channels

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, P, ...) to logits (B, M, ...), means, log-scales (B, C, M, ...), couplings (B, C(C-1)/2, M, ...)."""
        channels = self.image.channels
        groups = parameters.unflatten(1, (1 + 2 * channels + self.n_couplings, self.components))
        logits, means, log_scales, couplings = groups.split((1, channels, channels, self.n_couplings), 1)
        return logits[:, 0], means, log_scales.clamp(self.log_scale_min, _LARGEST_LOG_SCALE), couplings.tanh()

    def _scaled(self, x: Tensor, like: Tensor) -> Tensor:
        return x.to(like.dtype) * (2 / (self.image.intensities - 1)) - 1

    def channel_log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Log-probability of each channel given the earlier ones, in nats: see the base class."""
        by_component = self._component_log_prob(parameters, x)  # (B, C, M, H, W)
        prior = self._split(parameters)[0].log_softmax(1).unsqueeze(1)
        # Channels share the indicator: log p(x_c | x_<c) is a difference of two joint log-probabilities.
        joint = torch.logsumexp(prior + by_component.cumsum(1), 2)
        return torch.diff(joint, dim=1, prepend=torch.zeros_like(joint[:, :1]))

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Log-probability of every pixel, in nats; the joint of its channels at once."""
        with exact(parameters) as parameters:
            by_component = self._component_log_prob(parameters, x).sum(1)
            return torch.logsumexp(self._split(parameters)[0].log_softmax(1) + by_component, 1)

    def _component_log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """log p(x_c | component m, x_<c): (B, C, M, H, W)."""
        _, means, log_scales, couplings = self._split(parameters)
        top = self.image.intensities - 1
        scaled = self._scaled(x, parameters).unsqueeze(2)  # (B, C, 1, H, W)
        if self.n_couplings:
            means = torch.stack(
                (
                    means[:, 0],
                    means[:, 1] + couplings[:, 0] * scaled[:, 0],
                    means[:, 2] + couplings[:, 1] * scaled[:, 0] + couplings[:, 2] * scaled[:, 1],
                ),
                1,
            )
        inverse_scale = torch.exp(-log_scales)
        centred = scaled - means
        upper = inverse_scale * (centred + 1 / top)
        lower = inverse_scale * (centred - 1 / top)
        # log(sigmoid(upper) - sigmoid(lower)) without cancellation: upper - lower is the bin width, whatever x is.
        width = inverse_scale * (2 / top)
        inside = torch.log(-torch.expm1(-width))
        at_bottom = (x == 0).unsqueeze(2)
        at_top = (x == top).unsqueeze(2)
        below_upper = F.logsigmoid(upper).masked_fill(at_top, 0.0)
        above_lower = F.logsigmoid(-lower).masked_fill(at_bottom, 0.0)
        return below_upper + above_lower + inside.masked_fill(at_bottom | at_top, 0.0)

    def own_log_prob(self, own: Tensor, x: Tensor) -> Tensor:
        """Log-probability of every pixel under one logistic per channel: see the base class."""
        with exact(own) as own:
            single = LogisticMixture(self.image, 1, self.log_scale_min)
            return single.log_prob(torch.cat([torch.zeros_like(own[:, :1]), own], 1), x)

    def hints(self, own: Tensor) -> Tensor:
        """The means: see the base class."""
        return own[:, : self.image.channels]

    def pulled(self, parameters: Tensor, own: Tensor, pulls: Tensor) -> Tensor:
        """Means, with the couplings that belong to them, pulled component by component: see the base class."""
        channels, m = self.image.channels, self.components
        groups = parameters.unflatten(1, (-1, m))
        logits, means, log_scales, couplings = groups.split((1, channels, channels, self.n_couplings), 1)
        pulls = pulls.unflatten(1, (channels, m))
        means = means.lerp(own[:, :channels].unsqueeze(2).to(means.dtype), pulls.to(means.dtype))
        parts = [logits, means, log_scales]
        if self.n_couplings:
            # The coupled channel's pull: the second channel has one coupling, the third has two.
            target = torch.tensor([1, 2, 2], device=pulls.device)
            ours = own[:, 2 * channels :].unsqueeze(2).to(couplings.dtype)
            parts.append(couplings.lerp(ours, pulls[:, target].to(couplings.dtype)))
        return torch.cat(parts, 1).flatten(1, 2)

    def sample(self, parameters: Tensor, uniforms: Tensor) -> Tensor:
        """Draw pixels: choose the component, then each channel by the inverse of the logistic's CDF, rounded."""
        channels, top = self.image.channels, self.image.intensities - 1
        uniforms = uniforms.to(parameters.dtype)
        groups = parameters.unflatten(1, (-1, self.components))
        passed = groups[:, 0].softmax(1).cumsum(1)[:, :-1] <= uniforms[:, :1]
        component = passed.sum(1).view(-1, 1, 1).expand(-1, groups.shape[1] - 1, 1)
        chosen = groups[:, 1:].gather(2, component)[:, :, 0]
        scales = chosen[:, channels : 2 * channels].clamp(self.log_scale_min, _LARGEST_LOG_SCALE).exp_()
        couplings = chosen[:, 2 * channels :].tanh()
        # In units of bins from here on, so that rounding gives the intensity.
        drawn = torch.addcmul(chosen[:, :channels], torch.logit(uniforms[:, 1:]), scales).add_(1).mul_(top / 2)
        centred: list[Tensor] = []
        for channel, value in enumerate(drawn.unbind(1)):
            for earlier in range(channel):
                # Couple to what was drawn after rounding: that is what log_prob sees.
                coupling = couplings[:, channel * (channel - 1) // 2 + earlier]
                value.addcmul_(coupling, centred[earlier])
            value.round_().clamp_(0, top)
            if channel < channels - 1:
                centred.append(value - top / 2)
        return drawn.long()
