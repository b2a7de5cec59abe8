"""What a preference asks for, and how far losses are from it.

A preference r > 0 asks for the Pareto point at which r_1 l_1 = ... = r_m l_m: the larger r_j, the smaller l_j. Losses
with this property lie on the *ray* of the preference, spanned by 1/r.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

__all__ = [
    "angle_degrees",
    "balance_anchor",
    "checked_losses",
    "checked_preference",
    "circle_preferences",
    "non_uniformity",
    "rotation_anchor",
    "rotation_non_uniformity",
    "simplex_preferences",
]

Vector = NDArray[np.float64]

LARGEST_PREFERENCES = 20
"""Objectives at most: all solvers are for a handful of tasks."""


def checked_preference(preference: ArrayLike) -> Vector:
    """A preference as a float64 vector of sum 1 (only ratios matter).

    Arguments:
        preference: shape (m,), positive; m from 1 to 20.

    Raises:
        ValueError: in one sentence, what is wrong with it.

    >>> checked_preference([3, 1])
    array([0.75, 0.25])
    """
    r = _numbers(preference, "preference")
    if r.ndim != 1 or not 1 <= len(r) <= LARGEST_PREFERENCES:
        raise ValueError(
            f"A preference of shape {r.shape} was given; it must be a vector of 1 to {LARGEST_PREFERENCES} numbers, "
            "one per loss."
        )
    if not (np.isfinite(r).all() and (r > 0).all()):
        raise ValueError(
            f"The preference is {_listed(r)}; every entry must be a finite number above 0 (a loss that nobody cares "
            "for is better left out)."
        )
    r = r / r.max()  # or the sum of large numbers overflows
    return r / r.sum()


def checked_losses(losses: ArrayLike, n_losses: int) -> Vector:
    """Losses as a float64 vector.

    Arguments:
        losses: shape (m,).
        n_losses: m, entries of the preference.

    Raises:
        ValueError: in one sentence: there are more or fewer of them, or one is negative, zero or not finite.

    >>> checked_losses([2.0, 0.0], 2)
    Traceback (most recent call last):
        ...
    ValueError: Loss 1 is zero; the ratios of losses that a preference asks for need positive losses, so add a constant
    to it or stop its task.
    """
    l = _numbers(losses, "losses")  # noqa: E741
    if l.shape != (n_losses,):
        raise ValueError(f"Losses of shape {l.shape} were given for a preference of {n_losses} entries.")
    for index, value in enumerate(l):
        if not math.isfinite(value):
            raise ValueError(f"Loss {index} is {value}; training has diverged, or the loss overflows.")
        if value < 0:
            raise ValueError(
                f"Loss {index} is {value:g}; the ratios of losses that a preference asks for need positive losses, so "
                "add a bound of it from below (a density's log-likelihood has none: measure it from a reference)."
            )
        if value == 0:
            raise ValueError(
                f"Loss {index} is zero; the ratios of losses that a preference asks for need positive losses, so add a "
                "constant to it or stop its task."
            )
    return l


def non_uniformity(losses: ArrayLike, preference: ArrayLike) -> float:
    """KL divergence of l^ = r l / sum(r l) from uniform, in nats: 0 exactly on the ray, at most log m.

    Mahapatra & Rajan (ICML 2020), the measure that exact Pareto optimal search brings to 0.

    Arguments:
        losses, preference: shape (m,), positive.

    >>> non_uniformity([1.0, 4.0], [4.0, 1.0])
    0.0
    """
    share = _shares(losses, preference)
    return float(np.maximum(0.0, xlogy(share, len(share) * share).sum()))


def balance_anchor(losses: ArrayLike, preference: ArrayLike) -> Vector:
    """The anchor a = r (log(m l^) - mu): up to a positive factor the gradient of `non_uniformity` in the losses.

    Losses that move along -a become more uniform; a . l = 0, and a_j >= 0 where r_j l_j is largest.

    Arguments:
        losses, preference: shape (m,), positive.

    Returns:
        Shape (m,).
    """
    share = _shares(losses, preference)
    logs = np.log(len(share) * share)
    return np.asarray(preference, dtype=np.float64) * (logs - share @ logs)


def rotation_non_uniformity(losses: ArrayLike, preference: ArrayLike) -> float:
    """1 - cos^2 of the angle between the losses and the ray of the preference: 0 exactly on it, below 1.

    The Cauchy-Schwarz gap of the extended form of exact Pareto optimal search (arXiv 2108.00597).

    >>> round(rotation_non_uniformity([1.0, 4.0], [4.0, 1.0]), 12)
    0.0
    """
    l, w = np.asarray(losses, dtype=np.float64), 1 / np.asarray(preference, dtype=np.float64)  # noqa: E741
    return float(np.maximum(0.0, 1 - float(l @ w) ** 2 / float(l @ l) / float(w @ w)))


def rotation_anchor(losses: ArrayLike, preference: ArrayLike) -> Vector:
    """The anchor a = cos(l, w) l - (|l| / |w|) w with w = 1/r: losses that move along -a turn towards the ray.

    Like `balance_anchor` it is orthogonal to the losses and not negative where r_j l_j is largest.

    Arguments:
        losses, preference: shape (m,), positive.

    Returns:
        Shape (m,), in the losses' unit.
    """
    l, w = np.asarray(losses, dtype=np.float64), 1 / np.asarray(preference, dtype=np.float64)  # noqa: E741
    norm_l, norm_w = float(np.linalg.norm(l)), float(np.linalg.norm(w))
    return float(l @ w) / (norm_l * norm_w) * l - norm_l / norm_w * w


def angle_degrees(losses: ArrayLike, preference: ArrayLike) -> float:
    """Angle between the losses and the ray of the preference, in degrees.

    >>> round(angle_degrees([1.0, 1.0], [1.0, 1e9]), 6)
    45.0
    """
    l, w = np.asarray(losses, dtype=np.float64), 1 / np.asarray(preference, dtype=np.float64)  # noqa: E741
    across = l / np.linalg.norm(l) - w / np.linalg.norm(w)
    # Half the chord: arccos of a cosine near 1 loses half of its digits.
    return math.degrees(2 * math.asin(float(np.minimum(1.0, np.linalg.norm(across) / 2))))


def circle_preferences(count: int, margin_degrees: float = 9.0) -> list[Vector]:
    """Preferences of two losses at equal angles on the quarter circle, from the first loss' end to the second's.

    Arguments:
        count: how many, at least 1.
        margin_degrees: angle between the outermost preferences and the axes, above 0.

    >>> [r.round(3).tolist() for r in circle_preferences(3, margin_degrees=45 / 2)]
    [[0.707, 0.293], [0.5, 0.5], [0.293, 0.707]]
    """
    if count < 1 or not 0 < margin_degrees < 45:
        raise ValueError(
            f"{count} preferences with a margin of {margin_degrees:g} degrees were asked for; there must be at least "
            "one, and the margin must lie between 0 and 45."
        )
    angles = np.linspace(margin_degrees, 90 - margin_degrees, count) if count > 1 else np.array([45.0])
    return [checked_preference([math.cos(angle), math.sin(angle)]) for angle in np.radians(angles)]


def simplex_preferences(n_losses: int, divisions: int) -> list[Vector]:
    """Preferences of any number of losses on a grid of the simplex, without its boundary (Das & Dennis 1998).

    Neighbours of the list are neighbours on the grid, so that a front can be followed from one to the next.

    Arguments:
        n_losses: m, at least 1.
        divisions: of the simplex's edge, at least m; the grid has C(divisions - 1, m - 1) points.

    >>> len(simplex_preferences(3, 5))
    6
    """
    if n_losses < 1 or divisions < n_losses:
        raise ValueError(
            f"A grid of {divisions} divisions has no inner point for {n_losses} losses; give at least {n_losses}."
        )

    def compositions(parts: int, total: int) -> list[list[int]]:
        if parts == 1:
            return [[total]]
        found: list[list[int]] = []
        for first in range(1, total - parts + 2):
            rest = compositions(parts - 1, total - first)
            # Every second run is walked backwards: a step of the list is a step of the grid.
            found += [[first, *others] for others in (rest if first % 2 else reversed(rest))]
        return found

    return [checked_preference(counts) for counts in compositions(n_losses, divisions)]


def _numbers(values: ArrayLike, what: str) -> Vector:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"What was given as {what} is {values!r}; give a list of numbers, one per loss.") from error


def _shares(losses: ArrayLike, preference: ArrayLike) -> Vector:
    weighted = np.asarray(preference, dtype=np.float64) * np.asarray(losses, dtype=np.float64)
    return weighted / weighted.sum()


def _listed(numbers: Sequence[float] | Vector) -> str:
    return "[" + ", ".join(f"{number:g}" for number in numbers) + "]"
