"""Information in bits from code lengths and cross-entropies: what each number is, and what it is not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ib_analysis.information.intervals import (
    Bootstrap,
    Interval,
    paired_bootstrap_interval,
    paired_bootstrap_intervals,
)

__all__ = [
    "bits_per_dim",
    "information_from_probes",
    "lower_bound",
    "plug_in_entropy_bits",
    "usable_information",
]


def usable_information(
    null_code_lengths: np.ndarray, code_lengths: np.ndarray, bootstrap: Bootstrap | None = None
) -> Interval:
    """I_V(X;H) = mean(L0 - L): what a family of decoders can extract from H (Xu et al. 2020, arXiv 2002.10689, eq. 4).

    A difference of two upper bounds on entropies: it bounds Shannon's I(X;H) from neither side, and a badly trained
    null decoder inflates it. Given the code lengths of two cells instead, it is their difference, which contains no
    L0.

    Arguments:
        null_code_lengths: shape (N,): L0 of each evaluation image in bits, under the data set's unconditional model.
        code_lengths: shape (N,): L of the same images, given their activations.

    Raises:
        ValueError: the arrays do not describe the same images.

    >>> usable_information(np.array([9.0, 8.0, 7.0]), np.array([5.0, 4.0, 3.0])).estimate
    4.0
    """
    null, given = np.asarray(null_code_lengths, dtype=np.float64), np.asarray(code_lengths, dtype=np.float64)
    if null.shape != given.shape or null.ndim != 1:
        raise ValueError(
            f"Code lengths of the same images are compared: shapes (N,) and (N,), not {null.shape} and {given.shape}."
        )
    return _interval(null - given, bootstrap)


def lower_bound(h_x_bits: float, code_lengths: np.ndarray, bootstrap: Bootstrap | None = None) -> Interval:
    """H(X) - mean(L), a lower bound on I(X;H) where H(X) is known (Barber & Agakov 2003, equation 3).

    The expected code length under any decoder is at least H(X | H), so that in expectation the bound holds however
    bad the decoder is.

    Arguments:
        h_x_bits: exact entropy of an image.
        code_lengths: shape (N,), bits.
    """
    return _interval(h_x_bits - np.asarray(code_lengths, dtype=np.float64), bootstrap)


def information_from_probes(
    entropies_bits: Mapping[str, float],
    cross_entropies_bits: Mapping[str, np.ndarray],
    bootstrap: Bootstrap | None = None,
) -> dict[str, Interval]:
    """H(Y) - mean(-log2 q(y | h)) for labels and factors: lower bounds on I(H;Y) where H(Y) is exact.

    Nothing is clipped: a probe that is worse than guessing gives a negative number.

    Arguments:
        entropies_bits: name of a target -> its entropy; may hold more targets than are asked for.
        cross_entropies_bits: name -> shape (N,), of the same evaluation images for all targets.

    >>> found = information_from_probes({"label": 1.0}, {"label": np.array([0.25, 0.75])})
    >>> found["label"].estimate
    0.5
    """
    rows = [entropies_bits[name] - np.asarray(values) for name, values in cross_entropies_bits.items()]
    if not rows:
        return {}
    return dict(zip(cross_entropies_bits, paired_bootstrap_intervals(np.stack(rows), bootstrap), strict=True))


def bits_per_dim(bits: float, image_shape: tuple[int, ...]) -> float:
    """Bits per pixel and channel.

    >>> bits_per_dim(3072.0, (3, 32, 32))
    1.0
    """
    return bits / float(np.prod(image_shape))


def plug_in_entropy_bits(labels: np.ndarray) -> float:
    """Entropy of the empirical distribution of labels.

    Too small by about (k - 1) / (2 N ln 2) bits for k classes and N labels (Miller 1955): negligible for class labels,
    not for images.

    Arguments:
        labels: shape (N,), any discrete values.

    >>> plug_in_entropy_bits(np.array([0, 1, 2, 3]))
    2.0
    """
    _, counts = np.unique(np.asarray(labels), return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0  # a single class gives 0, not -0


def _interval(values: np.ndarray, bootstrap: Bootstrap | None) -> Interval:
    settings = bootstrap or Bootstrap()
    return paired_bootstrap_interval(values, settings.confidence, settings.n_resamples, settings.seed)
