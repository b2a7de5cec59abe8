"""Linear probes with a penalty that the validation images choose: logistic regression where images are few."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ib_analysis.information.features import Standardisation
from ib_analysis.information.guard import Guard, check_places, unguarded
from ib_analysis.information.probe_fitting import ProbeFit, ProbeSplit

__all__ = ["PENALTIES", "fit_ridge"]

PENALTIES = (3e-2, 3e-3, 3e-4, 3e-5)
"""Half of these times the squared weights are added to the mean cross-entropy in nats; each fit starts at the last."""
ITERATIONS = 40
"""Most iterations of L-BFGS for each penalty."""


def fit_ridge(
    coordinates: Tensor,
    targets: Sequence[Tensor],
    frequencies: Sequence[Tensor],
    split: ProbeSplit,
    sizes: Sequence[int],
    guard: Guard = unguarded,
) -> list[ProbeFit]:
    """Softmax regressions of all targets on the first coordinates, one for each number of them and each penalty.

    The problem is convex: the fit has no epochs and nothing random. Coordinates are scaled to variance 1 each, so that
    a direction of little variance that tells the class is not the most penalised one.

    Arguments:
        coordinates: shape (N, k): the split's training, validation and evaluation images in this order, float32.
        targets: tensors of shape (N,), integers on the same device.
        frequencies: of each target's classes in training, where the biases start.
        sizes: how many of the first coordinates are looked at.
        guard: asked before the training and the validation images are used.

    Returns:
        For each target the fit that is best on the validation images.

    Raises:
        UserError: the guard's, for an image that must not be seen.
    """
    training = slice(0, split.n_training)
    check_places(guard, training, "a training minibatch")
    check_places(guard, split.validation, "the validation images")
    h = Standardisation.of(coordinates[training])(coordinates)
    classes = [len(frequency) for frequency in frequencies]
    best: list[tuple[float, Tensor, Tensor] | None] = [None] * len(targets)
    for size in dict.fromkeys(min(size, h.shape[1]) for size in sizes):
        seen = h[:, :size].contiguous()
        weight = torch.zeros(size, sum(classes), device=h.device, requires_grad=True)
        bias = torch.cat([frequency.log() for frequency in frequencies]).to(h.device).requires_grad_()
        for penalty in PENALTIES:
            _minimise(weight, bias, seen[training], [target[training] for target in targets], classes, penalty)
            with torch.no_grad():
                parts = (seen @ weight + bias).split(classes, 1)
            for k, (logits, target) in enumerate(zip(parts, targets, strict=True)):
                found = functional.cross_entropy(logits[split.validation], target[split.validation]).item()
                if best[k] is None or found < best[k][0]:  # type: ignore[index]
                    best[k] = found, logits, target
    return [_scored(*kept, split) for kept in best if kept is not None]


def _minimise(
    weight: Tensor, bias: Tensor, h: Tensor, targets: Sequence[Tensor], classes: Sequence[int], penalty: float
) -> None:
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=ITERATIONS, history_size=10, tolerance_grad=1e-4, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        parts = (h @ weight + bias).split(list(classes), 1)
        losses = [functional.cross_entropy(logits, target) for logits, target in zip(parts, targets, strict=True)]
        loss = torch.stack(losses).sum() + penalty / 2 * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(objective)


def _scored(validation_nats: float, logits: Tensor, target: Tensor, split: ProbeSplit) -> ProbeFit:
    own, right = logits[split.evaluation], target[split.evaluation]
    nats = functional.cross_entropy(own, right, reduction="none").double().cpu().numpy()
    accuracy = float((own.argmax(1) == right).double().mean())
    return ProbeFit(validation_nats / math.log(2), nats / math.log(2), accuracy, None)
