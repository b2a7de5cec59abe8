"""Several probes fitted side by side, each kept as it was at its best epoch on the validation images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ib_analysis.artifacts import UserError
from ib_analysis.information.guard import Guard, check_places, unguarded

__all__ = [
    "ParameterGroup",
    "ProbeConfig",
    "ProbeFit",
    "ProbeModel",
    "ProbePair",
    "ProbeSplit",
    "best_of",
    "fit_probes",
]

EARLY_EPOCH = 2
"""A probe that is at its best at this epoch, or before, and then gets worse has learned its images by heart at once."""
LEAST_RISE_BITS = 0.05
"""What a validation cross-entropy must rise by after its best epoch to be called a rise."""


@dataclass(frozen=True)
class ProbeConfig:
    """How probes are fitted."""

    epochs: int = 10
    """Most passes over the training images; early stopping may end sooner."""
    patience: int = 3
    """Epochs without a better validation cross-entropy of any probe after which the fit ends."""
    learning_rate: float = 0.02
    """Step size of Adam at the start; it falls to zero along half a cosine over `epochs`. Large, because few short
    epochs are affordable per cell; found by trial on the layers of one small ResNet at 12x12 pixels."""
    hidden_units: int = 128
    """Width of the small network's one hidden layer. The nuisance's local network has an eighth of it per position
    and pixel of upsampling."""
    batch_size: int = 256
    """Images per step (an eighth of it for the nuisance's local probes, as every image holds many examples)."""
    weight_decay: float = 1e-2
    """Decoupled weight decay of all weight matrices (Loshchilov & Hutter 2019, arXiv 1711.05101)."""
    max_features: int = 4096
    """Activations per image above which a spatial layer is average-pooled before it is probed."""
    noise_images_per_epoch: int = 1024
    """Images of one epoch of the nuisance's local probes, drawn anew for each epoch: their weights are shared by all
    pixels, so that few images suffice."""

    def __post_init__(self) -> None:
        for name in (
            "epochs",
            "patience",
            "hidden_units",
            "batch_size",
            "max_features",
            "noise_images_per_epoch",
        ):
            if getattr(self, name) < 1:
                raise UserError(f"probe.{name} is {getattr(self, name)}; it must be at least 1.")
        if not self.learning_rate > 0:
            raise UserError(f"probe.learning_rate is {self.learning_rate}; it must be above 0.")
        if not self.weight_decay >= 0:
            raise UserError(f"probe.weight_decay is {self.weight_decay}; it must not be below 0.")


@dataclass(frozen=True)
class ProbeSplit:
    """How many images train, validate and evaluate; arrays hold them in this order.

    Raises:
        UserError: one of the three is empty.
    """

    n_training: int
    n_validation: int
    n_evaluation: int

    def __post_init__(self) -> None:
        if min(self.n_training, self.n_validation, self.n_evaluation) < 1:
            raise UserError(
                f"Probes need training, validation and evaluation images, but there are {self.n_training}, "
                f"{self.n_validation} and {self.n_evaluation}; use more images or another data.validation_share."
            )

    @property
    def total(self) -> int:
        return self.n_training + self.n_validation + self.n_evaluation

    @property
    def validation(self) -> slice:
        return slice(self.n_training, self.n_training + self.n_validation)

    @property
    def evaluation(self) -> slice:
        return slice(self.n_training + self.n_validation, self.total)


@dataclass(frozen=True)
class ProbeFit:
    """One probe at its best epoch.

    Arguments:
        validation_bits: mean cross-entropy on the validation images.
        cross_entropy_bits: shape (n_evaluation,) float64: -log2 q(y | h) of each evaluation image.
        accuracy: share of evaluation labels (or noise pixels) for which the likeliest value is the right one.
        epoch: the best epoch; 0 is the probe that ignores h; None for a fit without epochs.
        overfits_at_once: whether it was at its best by epoch 2 and the validation images cost it more bits at the last
            epoch, by more than 0.05 and two standard errors.
    """

    validation_bits: float
    cross_entropy_bits: np.ndarray
    accuracy: float
    epoch: int | None
    overfits_at_once: bool = False


@dataclass(frozen=True)
class ProbePair:
    """A linear probe and a small network for one target."""

    linear: ProbeFit
    network: ProbeFit

    @property
    def better(self) -> ProbeFit:
        """The one with the smaller validation cross-entropy: chosen without a look at the evaluation images."""
        return self.network if self.network.validation_bits < self.linear.validation_bits else self.linear


def best_of(pairs: Sequence[ProbePair]) -> ProbePair:
    """Of several pairs for one target the linear probe and the network that are best on the validation images."""
    return ProbePair(
        min((pair.linear for pair in pairs), key=lambda fit: fit.validation_bits),
        min((pair.network for pair in pairs), key=lambda fit: fit.validation_bits),
    )


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a learning rate.

    Arguments:
        inputs: how many inputs each of the outputs sums over; 0 for biases, which have no weight decay.
    """

    parameters: tuple[Tensor, ...]
    inputs: int

    @property
    def learning_rate_factor(self) -> float:
        """Adam moves every weight by about the learning rate, so that outputs move with the number of inputs; above
        64 inputs steps shrink with its square root."""
        return min(1.0, math.sqrt(64 / max(self.inputs, 1)))


class ProbeModel(Protocol):
    """Probes that look at the same activations: for every target a linear one and a network."""

    def parameter_groups(self) -> list[ParameterGroup]:
        """All parameters, each once; leaf tensors that require gradients."""

    def logits(self, activations: Tensor) -> list[Tensor]:
        """Unnormalised log-probabilities (B, K, ...) of each target: all linear probes, then all networks."""


def fit_probes(
    model: ProbeModel,
    activations: Tensor,
    targets: Sequence[Tensor],
    split: ProbeSplit,
    config: ProbeConfig,
    *,
    seed: int,
    batch_size: int,
    images_per_epoch: int | None = None,
    guard: Guard = unguarded,
) -> list[ProbePair]:
    """Fit all probes of a model together; return each as it was at its own best validation epoch.

    The state before the first step is a candidate too. The evaluation images are looked at once, at the end.

    Arguments:
        activations: shape (N, ...): the split's training, validation and evaluation images in this order.
        targets: tensors of shape (N,) or (N, ...), integers on the same device; the cross-entropy of an image is the
            sum over the further axes.
        images_per_epoch: how many of the training images make an epoch; None: all of them.
        guard: asked before every step and every validation, with the places of the images among all.

    Returns:
        A pair of probes for each target.

    Raises:
        UserError: the guard's, for an image that must not be seen.
    """
    n_epoch = min(images_per_epoch or split.n_training, split.n_training)
    steps = config.epochs * math.ceil(n_epoch / batch_size)
    groups = model.parameter_groups()
    optimizer = torch.optim.AdamW(
        [
            {
                "params": list(group.parameters),
                "lr": config.learning_rate * group.learning_rate_factor,
                "weight_decay": config.weight_decay if group.inputs else 0.0,
            }
            for group in groups
        ],
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 + 0.5 * math.cos(math.pi * step / steps))
    generator = torch.Generator().manual_seed(seed)
    parameters = [parameter for group in groups for parameter in group.parameters]

    def validate() -> Tensor:
        check_places(guard, split.validation, "the validation images")
        return _cross_entropies(model, activations, targets, split.validation, batch_size)

    best_rows = rows = validate()
    best = rows.mean(1)
    best_epoch = torch.zeros(len(best), dtype=torch.long)
    # The weights of every epoch at which some probe was at its best: few, and small beside the activations.
    kept = {0: [parameter.detach().clone() for parameter in parameters]}
    for epoch in range(1, config.epochs + 1):
        order = torch.randperm(split.n_training, generator=generator)[:n_epoch]
        for places in order.split(batch_size):
            guard(places, "a training minibatch")
            images = places.to(activations.device)
            losses = _image_losses(model.logits(activations[images]), [target[images] for target in targets])
            optimizer.zero_grad()
            torch.stack(losses).sum(0).mean().backward()
            optimizer.step()
            schedule.step()
        rows = validate()
        validation = rows.mean(1)
        improved = validation < best
        if improved.any():
            best[improved], best_epoch[improved] = validation[improved], epoch
            best_rows = torch.where(improved[:, None], rows, best_rows)
            kept[epoch] = [parameter.detach().clone() for parameter in parameters]
            kept = {e: weights for e, weights in kept.items() if (best_epoch == e).any()}
        elif epoch - int(best_epoch.max()) >= config.patience:
            break

    at_once = _rises(best_rows, rows) & (best_epoch <= EARLY_EPOCH)
    bits = np.empty((len(best), split.n_evaluation))
    accuracy = np.empty(len(best))
    for epoch, weights in kept.items():
        with torch.no_grad():
            for parameter, weight in zip(parameters, weights, strict=True):
                parameter.copy_(weight)
        here = (best_epoch == epoch).numpy()
        nats = _cross_entropies(model, activations, targets, split.evaluation, batch_size).numpy()
        bits[here] = nats[here] / math.log(2)
        accuracy[here] = _accuracies(model, activations, targets, split.evaluation, batch_size)[here]
    fits = [
        ProbeFit(float(best[p]) / math.log(2), bits[p], float(accuracy[p]), int(best_epoch[p]), bool(at_once[p]))
        for p in range(len(best))
    ]
    return [ProbePair(*pair) for pair in zip(fits[: len(targets)], fits[len(targets) :], strict=True)]


def _rises(best: Tensor, last: Tensor) -> Tensor:
    """Whether cross-entropies (n_probes, n) in nats rose, paired by image: (n_probes,), bool."""
    rise = (last - best) / math.log(2)
    error = rise.std(1, unbiased=True) / math.sqrt(rise.shape[1]) if rise.shape[1] > 1 else torch.inf
    return rise.mean(1) > torch.clamp(torch.as_tensor(2 * error), min=LEAST_RISE_BITS)


def _image_losses(logits: Sequence[Tensor], targets: Sequence[Tensor]) -> list[Tensor]:
    """Cross-entropy (B,) in nats of every probe; the targets are those of the linear probes, then of the networks."""
    return [
        functional.cross_entropy(guess, target, reduction="none").flatten(1).sum(1)
        if target.ndim > 1
        else functional.cross_entropy(guess, target, reduction="none")
        for guess, target in zip(logits, [*targets, *targets], strict=True)
    ]


@torch.no_grad()
def _cross_entropies(
    model: ProbeModel, activations: Tensor, targets: Sequence[Tensor], images: slice, batch_size: int
) -> Tensor:
    """Cross-entropies (n_probes, n) in nats, float64 on the CPU."""
    batches = zip(
        activations[images].split(batch_size), *(target[images].split(batch_size) for target in targets), strict=True
    )
    found = [torch.stack(_image_losses(model.logits(h), y)) for h, *y in batches]
    return torch.cat(found, 1).double().cpu()


@torch.no_grad()
def _accuracies(
    model: ProbeModel, activations: Tensor, targets: Sequence[Tensor], images: slice, batch_size: int
) -> np.ndarray:
    """Share of right guesses (n_probes,)."""
    batches = zip(
        activations[images].split(batch_size), *(target[images].split(batch_size) for target in targets), strict=True
    )
    right = [
        [(guess.argmax(1) == target).sum() for guess, target in zip(model.logits(h), [*y, *y], strict=True)]
        for h, *y in batches
    ]
    total = [target[images].numel() for target in (*targets, *targets)]
    return np.asarray([[int(count) for count in row] for row in right]).sum(0) / np.asarray(total)
