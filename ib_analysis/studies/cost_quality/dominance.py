"""Whether one number format's curve of accuracy against cost lies above another's, beyond the choice of seeds and
evaluation images.

A curve is what can be had at a cost: the running maximum of mean accuracy over networks in the order of their costs,
linear in the logarithm of the cost between neighbouring networks. A network that is beaten by a cheaper one does not
bend it. In contrast to a line through the efficient networks alone, which jumps when a network ceases to be efficient,
it is continuous and rises with every accuracy, so that bounds on accuracies are bounds on curves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ib_analysis.information.intervals import Bootstrap, Interval
from ib_analysis.studies.cost_quality.pooled_seeds import seed_deviation

__all__ = ["Accuracies", "Dominance", "Verdict", "curve_at", "dominance", "efficient", "knots", "resampled"]

Verdict = Literal["yes", "no", "undecided", "no overlap"]

_BATCH_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Accuracies:
    """Accuracies of P networks, and how their means over seeds move with the choice of evaluation images.

    Arguments:
        by_seed: shape (S, P), mean over images.
        shifts: shape (R, P), mean over resampled images minus mean over images, of the means over seeds. All networks
            see the same resamples.
        normals: shape (R, P), standard normal numbers, for the errors of seeds.
    """

    by_seed: np.ndarray
    shifts: np.ndarray
    normals: np.ndarray

    def of(self, networks: Sequence[int]) -> Accuracies:
        """Those of some of the networks."""
        return Accuracies(self.by_seed[:, networks], self.shifts[:, networks], self.normals[:, networks])


@dataclass(frozen=True)
class Dominance:
    """How curve A lies to curve B.

    Arguments:
        verdict: `yes`, A is above B at every common cost; `no`, B is above A somewhere; `undecided`; or `no overlap`,
            they have no common cost.
        smallest: A - B where it is smallest, with its simultaneous interval; None without common costs.
        cost: where that is.
        overlap: smallest and largest common cost.
        n_knots: costs at which the curves were compared.
    """

    verdict: Verdict
    smallest: Interval | None
    cost: float | None
    overlap: tuple[float, float] | None
    n_knots: int


def efficient(costs: np.ndarray, accuracies: np.ndarray) -> np.ndarray:
    """Which networks no other one beats: none that costs no more is at least as accurate, one of both strictly.

    Arguments:
        costs, accuracies: shape (P,).

    Returns:
        shape (P,), bool.

    >>> efficient(np.array([1, 2, 3, 3]), np.array([0.5, 0.4, 0.6, 0.7])).tolist()
    [True, False, False, True]
    """
    cheaper, better = costs[:, None] < costs, accuracies[:, None] > accuracies
    no_dearer, no_worse = costs[:, None] <= costs, accuracies[:, None] >= accuracies
    beaten = no_dearer & no_worse & (cheaper | better)
    return np.logical_not(np.asarray(beaten.any(axis=0)))


def knots(costs_a: np.ndarray, costs_b: np.ndarray) -> np.ndarray:
    """The costs of either curve that lie within the range of both, ascending: between them the difference is linear.

    >>> knots(np.array([1.0, 4.0]), np.array([2.0, 3.0, 8.0])).tolist()
    [2.0, 3.0, 4.0]
    """
    both = np.unique(np.concatenate([costs_a, costs_b]).astype(float))
    low, high = max(costs_a.min(), costs_b.min()), min(costs_a.max(), costs_b.max())
    return both[(both >= low) & (both <= high)]


def curve_at(costs: np.ndarray, accuracies: np.ndarray, cost: float) -> float:
    """The curve's accuracy at a cost.

    Arguments:
        costs: shape (P,), above 0.
        accuracies: shape (P,).
        cost: within the range of the costs.

    Raises:
        ValueError: the cost is outside the range.

    >>> round(curve_at(np.array([1.0, 100.0]), np.array([0.5, 0.7]), 10.0), 6)
    0.6
    """
    return float((_ways(costs, cost) @ accuracies).max())


def resampled(correct: np.ndarray, bootstrap: Bootstrap | None = None) -> Accuracies:
    """Accuracies with their shifts under the bootstrap of images (Efron & Tibshirani 1993, chapter 13).

    Arguments:
        correct: shape (S, P, N): whether each of S seeds of P networks is right about each of N images.
        bootstrap: number of resamples and seed.

    Raises:
        ValueError: fewer than two images.
    """
    settings = bootstrap or Bootstrap()
    if correct.ndim != 3 or correct.shape[2] < 2:
        raise ValueError(f"Of seeds, networks and at least two images are needed, not the shape {correct.shape}.")
    by_image = correct.mean(axis=0, dtype=np.float64).T
    n = len(by_image)
    rng, batch = np.random.default_rng(settings.seed), max(1, _BATCH_BYTES // (8 * n))
    shifts = []
    for start in range(0, settings.n_resamples, batch):
        drawn = rng.integers(n, size=(min(batch, settings.n_resamples - start), n))
        counts = np.stack([np.bincount(row, minlength=n) for row in drawn])
        shifts.append((counts - 1.0) @ by_image / n)
    normals = rng.normal(size=(settings.n_resamples, correct.shape[1]))
    return Accuracies(correct.mean(axis=2, dtype=np.float64), np.concatenate(shifts), normals)


def dominance(
    costs_a: np.ndarray, a: Accuracies, costs_b: np.ndarray, b: Accuracies, bootstrap: Bootstrap | None = None
) -> Dominance:
    """Judge whether A's curve lies above B's at every common cost.

    At a cost, a curve is the largest of several weighted means of one or two networks, so that A - B is, in either
    order of maximum and minimum,

        max over A's means of min over B's means of (a mean of A - a mean of B).

    All these contrasts at all knots get intervals that hold at once. The minimum over B's means of the maximum over A's
    of their lower ends is a lower end for A - B, the maximum of the minimum of their upper ends an upper one: the luck
    of the network that happens to be best is paid for. The critical value is the quantile of the largest
    |contrast error| / standard error (max-t), where errors are drawn. Their images' part is from the bootstrap, which
    resamples the same images for both curves. Their seeds' part is from a t-distribution, since resampled seeds cover
    too little (with ten, a 95 % interval covers about 91 %; with two, both are the same one half of the time). Its
    deviation is pooled over the networks of both formats, paired by seed (`seed_deviation`); where a contrast's own
    seeds lie further apart, its interval takes theirs.

    Arguments:
        costs_a, costs_b: shapes (P_a,), (P_b,), above 0.
        a, b: from one call of `resampled`, so that seeds and images are paired.
        bootstrap: confidence and seed.

    Returns:
        The verdict, which is a false `yes` or a false `no` with probability 1 - confidence at most. With one seed the
        interval is infinite.

    >>> rng = np.random.default_rng(0)
    >>> found = resampled(rng.random((3, 2, 500)) < np.array([0.9, 0.5])[:, None], Bootstrap(n_resamples=200))
    >>> cost = np.array([10.0])
    >>> dominance(cost, found.of([0]), cost, found.of([1])).verdict
    'yes'
    >>> dominance(cost, found.of([1]), cost, found.of([0])).verdict
    'no'
    """
    settings = bootstrap or Bootstrap()
    places = knots(costs_a, costs_b)
    if not len(places):
        return Dominance("no overlap", None, None, None, 0)
    together = Accuracies(
        *(np.hstack([getattr(a, name), getattr(b, name)]) for name in ("by_seed", "shifts", "normals"))
    )
    ways = [(_ways(costs_a, cost), _ways(costs_b, cost)) for cost in places]
    contrasts = [_contrasts(*pair) for pair in ways]
    widths = _half_widths(together, contrasts, settings)
    differences = []
    for (ways_a, ways_b), weights, flat in zip(ways, contrasts, widths, strict=True):
        shape = len(ways_a), len(ways_b)
        estimate, half = (weights @ together.by_seed.mean(axis=0)).reshape(shape), flat.reshape(shape)
        differences.append(
            Interval(
                float(estimate.min(axis=1).max()),
                float((estimate - half).max(axis=0).min()),
                float((estimate + half).min(axis=1).max()),
            )
        )
    if all(found.low > 0 for found in differences):
        verdict: Verdict = "yes"
    else:
        verdict = "no" if any(found.high < 0 for found in differences) else "undecided"
    # Of equal differences the one with the lowest lower end; rounded, or rounding errors would decide.
    least = min(
        range(len(places)),
        key=lambda place: (round(differences[place].estimate, 12), round(differences[place].low, 12)),
    )
    overlap = (float(places[0]), float(places[-1]))
    return Dominance(verdict, differences[least], float(places[least]), overlap, len(places))


def _ways(costs: np.ndarray, cost: float) -> np.ndarray:
    """The weighted means, rows of shape (P,), whose largest is the curve at a cost.

    With m the running maximum up to the cost and t the place between two neighbouring costs, the curve is
    (1 - t) m + t max(m, next) = max(m, (1 - t) m + t next).
    """
    if not costs.min() <= cost <= costs.max():
        raise ValueError(f"the curve has no accuracy at the cost {cost}: it goes from {costs.min()} to {costs.max()}")
    one = np.eye(len(costs))
    below = np.flatnonzero(costs <= cost)
    last = costs[below].max()
    if last == cost:
        return one[below]
    following = costs[costs > cost].min()
    t = math.log(cost / last) / math.log(following / last)
    between = [(1 - t) * one[j] + t * one[k] for j in below for k in np.flatnonzero(costs == following)]
    return np.concatenate([one[below], between])


def _contrasts(ways_a: np.ndarray, ways_b: np.ndarray) -> np.ndarray:
    """Every mean of A minus every mean of B: shape (W_a W_b, P_a + P_b)."""
    first, second = np.repeat(ways_a, len(ways_b), axis=0), np.tile(ways_b, (len(ways_a), 1))
    return np.hstack([first, -second])


def _half_widths(found: Accuracies, contrasts: Sequence[np.ndarray], settings: Bootstrap) -> list[np.ndarray]:
    """Of intervals that hold for all contrasts at once, knot by knot."""
    seeds = len(found.by_seed)
    pooled = seed_deviation(found.by_seed, paired=True)
    if seeds == 1:  # nothing is known of the spread of seeds
        return [np.full(len(weights), math.inf) for weights in contrasts]
    rng = np.random.default_rng([settings.seed, 0x5EED5])
    count = len(found.shifts)
    spread = np.sqrt(pooled.degrees / rng.chisquare(pooled.degrees, size=(count, 1)))
    errors = found.shifts + pooled.deviation / math.sqrt(seeds) * spread * found.normals
    largest, deviations = np.zeros(count), []
    for weights in contrasts:
        of_images = (found.shifts @ weights.T).var(axis=0)
        of_seeds = pooled.deviation**2 / seeds * (weights**2).sum(axis=1)
        own = (found.by_seed @ weights.T).var(axis=0, ddof=1) / seeds
        expected = np.sqrt(of_images + of_seeds)
        sizes = np.abs(errors @ weights.T)
        ratios = np.divide(sizes, expected, out=np.zeros_like(sizes), where=expected > 0)
        largest = np.maximum(largest, ratios.max(axis=1))
        deviations.append(np.sqrt(of_images + np.maximum(of_seeds, own)))
    critical = float(np.quantile(largest, settings.confidence))
    return [critical * deviation for deviation in deviations]
