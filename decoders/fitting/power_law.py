"""A falling power law fitted to a learning curve, with an interval for what is still to come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["FASTEST", "FEWEST_POINTS", "SLOWEST", "PowerLaw", "fit_power_law"]

SLOWEST, FASTEST = 0.25, 4.0
"""Exponents that are considered. A logarithm (exponent 0) has no asymptote, so that without a slowest one nothing could
ever be certified; Kaplan et al. 2020 (arXiv 2001.08361, table 2) find 0.76 for language models' loss against steps."""
FEWEST_POINTS = 6
"""Three parameters, and three degrees of freedom to see how well they fit."""

_FALL_ERRORS = 3.0
"""A fall is clear if it is more than so many standard errors of ordinary regression."""
_EXPONENTS = np.geomspace(SLOWEST, FASTEST, 97)
_LEAST_CORRELATION, _MOST_CORRELATION = 0.5, 0.9


@dataclass(frozen=True)
class PowerLaw:
    """b(t) = asymptote + gain (t / end)^-exponent, in bits; ``gain`` is what lies between b(end) and the asymptote."""

    asymptote: float
    gain: float
    gain_low: float
    """Lower end of the gain's interval, at least 0."""
    gain_high: float
    """Upper end of the gain's interval."""
    exponent: float
    end: float
    """The last step that was fitted to."""
    identified: bool
    """False where the points clearly fall, and more steadily than with the slowest exponent, which fits them best: then
    no asymptote is in sight, and ``gain`` and ``gain_high`` say nothing."""

    def __call__(self, steps: np.ndarray) -> np.ndarray:
        """The curve at some steps, in bits; same shape."""
        return self.asymptote + self.gain * (np.asarray(steps, dtype=np.float64) / self.end) ** -self.exponent


def fit_power_law(steps: np.ndarray, bits: np.ndarray, confidence: float = 0.95) -> PowerLaw:
    """Least squares, and the profile likelihood interval of the gain.

    For a given exponent the model is a straight line in u = (t / end)^-c, so that sums of squares are exact and nothing
    is iterated: with R_c the least sum and g_c the gain that attains it, a gain g costs R_c + S_uu (g - g_c)^2. The
    interval holds every g >= 0 that costs, with its best exponent, at most R (1 + v t^2 / (n - 3)), R being the least
    of all, t Student's quantile with n - 3 degrees of freedom and v = (1 + r) / (1 - r) the loss of effective points by
    the lag-one correlation r of the residuals. r is raised by (1 + 4 r) / n against its bias, and is at least 0.5:
    averaged weights carry over from one validation to the next, and a handful of points cannot show it.

    Learning curves of neural networks follow power laws in the number of examples (Hestness et al. 2017, arXiv
    1712.00409) and of steps (Kaplan et al. 2020, arXiv 2001.08361). An exponential would be the optimistic choice: it
    ends sooner than the points that it was fitted to can show.

    Args:
        steps: rising, positive, shape (n,), n >= `FEWEST_POINTS`.
        bits: finite, shape (n,).
        confidence: of the interval.

    Raises:
        ValueError: too few points.

    Example:
        >>> steps = np.arange(5, 21) * 100
        >>> law = fit_power_law(steps, 20 + 3 * (steps / 2000) ** -0.5)
        >>> round(law.asymptote, 6), round(law.gain, 6), round(law.exponent, 6)
        (20.0, 3.0, 0.5)
    """
    t, y = np.asarray(steps, dtype=np.float64), np.asarray(bits, dtype=np.float64)
    n = len(t)
    if n < FEWEST_POINTS:
        raise ValueError(f"A power law needs at least {FEWEST_POINTS} points, and there are {n}.")
    relative = t / t[-1]
    level = y - y.mean()
    lines = _Lines(relative, level, _EXPONENTS)
    best = int(np.argmin(lines.cost))
    # The grid is fine enough for the interval; the estimate itself is refined, so that an exact curve is met exactly.
    exponent = _refined(relative, level, best)
    line = _Lines(relative, level, np.array([exponent]))
    gain, least = float(line.gain[0]), float(line.cost[0])
    residual = level - (line.offset[0] + gain * relative**-exponent)
    error = float(np.sqrt(least / (n - 2) / line.spread[0]))
    from scipy import stats  # a second, which not every command needs

    quantile = float(stats.t.ppf(0.5 + confidence / 2, n - 3)) ** 2
    limit = least * (1 + _inflation(residual) * quantile / (n - 3))
    every = _Lines(relative, level, np.append(_EXPONENTS, exponent))
    # sqrt of what is left of the limit once the exponent has cost its part; an exponent that costs too much has none
    left = limit - every.free_cost
    reach = np.sqrt(np.maximum(left, 0) / every.spread)
    kept = left >= 0
    kept[-1] = True  # the best one, also where its cost is the limit up to rounding
    low = float(np.min((every.free_gain - reach)[kept]))
    high = float(np.max((every.free_gain + reach)[kept]))
    return PowerLaw(
        asymptote=float(y.mean() + line.offset[0]),
        gain=gain,
        gain_low=min(max(low, 0.0), gain),
        gain_high=max(high, gain),
        exponent=exponent,
        end=float(t[-1]),
        identified=not (exponent <= SLOWEST * (1 + 1e-6) and gain > _FALL_ERRORS * error),
    )


class _Lines:
    """For each exponent the least-squares line in (t / end)^-c, with and without the condition gain >= 0."""

    def __init__(self, relative: np.ndarray, level: np.ndarray, exponents: np.ndarray) -> None:
        u = relative[None, :] ** -exponents[:, None]
        mean = u.mean(1)
        centred = u - mean[:, None]
        self.spread = (centred**2).sum(1)
        self.free_gain = centred @ level / self.spread
        self.free_cost = ((level - self.free_gain[:, None] * centred) ** 2).sum(1)
        self.gain = np.maximum(self.free_gain, 0.0)
        self.offset = -self.gain * mean  # `level` has mean zero
        self.cost = ((level - self.gain[:, None] * centred) ** 2).sum(1)


def _refined(relative: np.ndarray, level: np.ndarray, best: int) -> float:
    """The exponent of least cost between the grid's neighbours of the best, by shrinking grids."""
    low = _EXPONENTS[max(best - 1, 0)]
    high = _EXPONENTS[min(best + 1, len(_EXPONENTS) - 1)]
    for _ in range(12):
        grid = np.linspace(low, high, 9)
        at = int(np.argmin(_Lines(relative, level, grid).cost))
        low, high = grid[max(at - 1, 0)], grid[min(at + 1, 8)]
    return float(grid[at])


def _inflation(residual: np.ndarray) -> float:
    """(1 + r) / (1 - r) of the residuals' lag-one correlation r: by how much fewer the points are worth."""
    power = float(residual @ residual)
    if power == 0:
        return 1.0
    found = float(residual[1:] @ residual[:-1]) / power
    r = min(max(found + (1 + 4 * found) / len(residual), _LEAST_CORRELATION), _MOST_CORRELATION)
    return (1 + r) / (1 - r)
