"""I(H;Y) from below: what a linear probe and a small network can tell about labels and factors from a layer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ib_analysis.information.features import Components, Standardisation, pool_features
from ib_analysis.information.guard import Guard, check_places, unguarded
from ib_analysis.information.probe_fitting import (
    ParameterGroup,
    ProbeConfig,
    ProbeFit,
    ProbePair,
    ProbeSplit,
    best_of,
    fit_probes,
)
from ib_analysis.information.ridge_probe import fit_ridge

__all__ = ["ProbeConfig", "ProbeFit", "ProbePair", "ProbeSplit", "probe_targets"]

WIDE = 4
"""A layer of more features than a WIDE-th of the training images is wide: probes of its principal components, which
have fewer weights to fit, compete with those of its features."""
COMPONENTS = (64, 256)
"""Principal components of a wide layer that linear probes look at; networks look at the first number of them."""
DECAY_FACTORS = (1.0, 100.0)
"""Weight decays of the networks on components, as multiples of ``weight_decay``: the validation images choose."""
LEAST_STEPS = 16
"""Steps of an epoch at the least, where components are probed: of few images a minibatch holds fewer."""


class _Heads:
    """For every target a linear softmax and a softmax on one hidden layer; the hidden layer serves all targets.

    Output weights start at zero and output biases at the log of the training frequencies: before the first step a
    probe ignores h and knows only how often each class occurs.
    """

    def __init__(
        self, training: Tensor, frequencies: Sequence[Tensor], hidden_units: int, generator: torch.Generator
    ) -> None:
        self.standardisation = Standardisation.of(training)
        self.classes = [len(frequency) for frequency in frequencies]
        self.total = sum(self.classes)
        features, device = training.shape[1], training.device
        # The linear probes' rows and the hidden units' rows lie in one matrix: one product serves both.
        weight = torch.zeros(self.total + hidden_units, features)
        weight[self.total :].normal_(0, math.sqrt(2 / features), generator=generator)
        bias = torch.cat([frequency.log() for frequency in frequencies])
        self.weight = weight.to(device).requires_grad_()
        self.bias = torch.cat([bias, torch.zeros(hidden_units)]).to(device).requires_grad_()
        self.output_weight = torch.zeros(self.total, hidden_units, device=device, requires_grad=True)
        self.output_bias = bias.to(device).requires_grad_()

    def parameter_groups(self) -> list[ParameterGroup]:
        return [
            ParameterGroup((self.weight,), inputs=self.weight.shape[1]),
            ParameterGroup((self.output_weight,), inputs=self.output_weight.shape[1]),
            ParameterGroup((self.bias, self.output_bias), inputs=0),
        ]

    def logits(self, activations: Tensor) -> list[Tensor]:
        first = functional.linear(self.standardisation(activations), self.weight, self.bias)
        network = functional.linear(first[:, self.total :].relu(), self.output_weight, self.output_bias)
        return [*first[:, : self.total].split(self.classes, 1), *network.split(self.classes, 1)]


def probe_targets(
    activations: np.ndarray | Tensor,
    targets: Mapping[str, np.ndarray],
    split: ProbeSplit,
    config: ProbeConfig | None = None,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    guard: Guard = unguarded,
) -> dict[str, ProbePair]:
    """Fit probes of all discrete targets at once and score them on the evaluation images.

    Both kinds look at the standardised features. Where these are many for the training images (see `WIDE`), further
    ones look at principal components of them: linear probes with one of several penalties (`ridge_probe`), networks
    with one of several weight decays; where there are even more features than training images, only these do. Of each
    kind the probe that is best on the validation images counts.

    For a target Y, ``H(Y) - mean(cross_entropy_bits)`` is a lower bound on I(H;Y) in expectation: the cross-entropy
    of any q(y | h) is at least H(Y | H) (Barber & Agakov 2003, "The IM algorithm", equation 3). Both probes and their
    best epochs are chosen on the validation images.

    Arguments:
        activations: shape (N, C, h, w) or (N, C), any float dtype, training, validation and evaluation images in this
            order. Spatial layers with more than ``config.max_features`` values per image are average-pooled.
        targets: name -> shape (N,) integers, the class label or a generative factor.
        split: how many of the N images train, validate and evaluate.
        seed: of the hidden layer's initial weights and of the order of the images.
        device: where to compute.
        guard: asked with the places of images before each of them is used in a fit.

    Returns:
        name -> linear probe and network.

    Raises:
        ValueError: shapes do not fit the split, or there is no target.
        UserError: an activation is not finite, or the guard stops the fit.

    >>> rng = np.random.default_rng(0)
    >>> label = rng.integers(0, 4, 1000)
    >>> one_hot = np.eye(4, dtype=np.float32)[label]
    >>> found = probe_targets(one_hot, {"label": label}, ProbeSplit(600, 200, 200), ProbeConfig(epochs=30))
    >>> bool(found["label"].better.cross_entropy_bits.mean() < 0.1), found["label"].better.accuracy
    (True, 1.0)
    """
    config = config or ProbeConfig()
    if not targets:
        raise ValueError("There is no target to probe for.")
    h = torch.as_tensor(activations)
    for name, images in {"activations": len(h), **{name: len(values) for name, values in targets.items()}}.items():
        if images != split.total:
            raise ValueError(f"{name} holds {images} images, the split {split.total}.")
    h = pool_features(h, config.max_features).flatten(1).to(device)
    codes, frequencies = zip(*(_codes(values, split.n_training) for values in targets.values()), strict=True)
    coded = [code.to(device) for code in codes]
    check_places(guard, slice(0, split.n_training), "those that activations are standardised by")
    found: list[list[ProbePair]] = []

    def fit(seen: Tensor, settings: ProbeConfig, batch_size: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        model = _Heads(seen[: split.n_training], frequencies, config.hidden_units, generator)
        found.append(fit_probes(model, seen, coded, split, settings, seed=seed, batch_size=batch_size, guard=guard))

    if h.shape[1] <= split.n_training:
        fit(h, config, config.batch_size)
    if WIDE * h.shape[1] > split.n_training:
        coordinates = Components.of(h[: split.n_training], max(COMPONENTS))(h)
        few = coordinates[:, : min(COMPONENTS)].contiguous()
        batch_size = min(config.batch_size, -(-split.n_training // LEAST_STEPS))
        for factor in DECAY_FACTORS:
            fit(few, dataclasses.replace(config, weight_decay=factor * config.weight_decay), batch_size)
        ridge = fit_ridge(coordinates, coded, frequencies, split, COMPONENTS, guard)
        found.append([ProbePair(linear, pair.network) for linear, pair in zip(ridge, found[-1], strict=True)])
    return {name: best_of(pairs) for name, pairs in zip(targets, zip(*found, strict=True), strict=True)}


def _codes(values: np.ndarray, n_training: int) -> tuple[Tensor, Tensor]:
    """Values as 0..k-1, and their training frequencies (k,), a half added to every count so that none is zero."""
    classes, codes = np.unique(np.asarray(values), return_inverse=True)
    counts = np.bincount(codes[:n_training], minlength=len(classes)) + 0.5
    return torch.from_numpy(codes).long(), torch.from_numpy(counts / counts.sum()).float()
