"""A layer of known capacity: n binary units, made of a real layer's features."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ib_analysis.activations import Activations
from ib_analysis.artifacts import UserError
from ib_analysis.information.features import Standardisation
from ib_analysis.information.guard import Guard, unguarded
from ib_analysis.studies.altered import all_groups

__all__ = ["SignCodes", "check_units", "orthogonal", "sign_layer", "units_of"]


def sign_layer(layer: str, units: int) -> str:
    """How the layer of so many binary units, made of a layer's features, is called.

    >>> sign_layer("h4", 8), units_of("h4_signs8")
    ('h4_signs8', 8)
    """
    return f"{layer}_signs{units}"


def units_of(name: str) -> int:
    """How many units a layer of `sign_layer` has."""
    return int(name.rpartition("_signs")[2])


def check_units(units: tuple[int, ...], features: int) -> None:
    """Refuse what no orthogonal projection of so many features can give.

    Raises:
        UserError: a number is below 1, above the number of features, or there twice.
    """
    if not units or min(units) < 1 or max(units) > features or len(set(units)) != len(units):
        raise UserError(
            f"controls.bottleneck_units is {list(units)}; give numbers from 1 to {features} (the features of the last "
            "layer), each once."
        )


def orthogonal(n: int, seed: int) -> np.ndarray:
    """A random orthogonal matrix, shape (n, n) float64, uniform (Haar) by the QR decomposition with the signs of R's
    diagonal (Mezzadri 2007, arXiv math-ph/0609050, section 5)."""
    q, r = np.linalg.qr(np.random.default_rng([seed, n]).standard_normal((n, n)))
    return q * np.sign(np.diag(r))


class SignCodes:
    """The signs of a random orthogonal projection of a layer's standardised, pooled features, each against the
    median of the training part: n units of one bit, so that I(X;H) <= H(H) <= n bits.

    Codes of fewer units are the first units of longer ones. Features are averages over the positions of a spatial
    layer.

    Arguments:
        source: the activations.
        layer: whose features are projected.
        seed: of the projection.
        guard: asked before features are standardised by images and compared with their median.
    """

    def __init__(self, source: Activations, layer: str, seed: int = 0, guard: Guard = unguarded) -> None:
        self._source, self._layer, self._seed, self._guard = source, layer, seed, guard
        self.groups, self.epochs = source.groups, source.epochs
        self.features = source.shape(layer)[0]
        self.layers = tuple(sign_layer(layer, units) for units in range(1, self.features + 1))
        self._codes: dict[int, np.ndarray] = {}

    def shape(self, layer: str) -> tuple[int, ...]:
        return (units_of(layer),)

    def read(self, epoch: int, layer: str, group: int) -> Tensor:
        start, stop = self.groups.bounds[group]
        bits = self.codes(epoch)[start:stop, : units_of(layer)]
        return torch.from_numpy(2 * bits.astype(np.int8) - 1).half()

    def codes(self, epoch: int) -> np.ndarray:
        """All units of all images at an epoch: shape (N, features), bool."""
        if epoch not in self._codes:
            pooled = [h.float().flatten(2).mean(2) if h.ndim == 4 else h for h in self._groups(epoch)]
            features = torch.cat(pooled)
            training = self.groups.images("train")
            self._guard(training, "those that signs are made by")
            standardised = Standardisation.of(features[training.start : training.stop])(features).double().numpy()
            projected = standardised @ orthogonal(self.features, self._seed).T
            self._codes[epoch] = projected > np.median(projected[training.start : training.stop], axis=0)
        return self._codes[epoch]

    def _groups(self, epoch: int) -> list[Tensor]:
        return list(all_groups(self._source, epoch, self._layer))
