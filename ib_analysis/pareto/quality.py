"""How good a set of points is, by pymoo (the extra ``pareto``)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["hypervolume", "inverted_generational_distance_plus", "non_dominated", "sorted_fronts"]


def hypervolume(losses: ArrayLike, reference: ArrayLike) -> float:
    """Volume that the points dominate below a reference point; larger is better.

    Arguments:
        losses: shape (N, m).
        reference: shape (m,); points beyond it count nothing.

    >>> hypervolume([[1.0, 2.0], [2.0, 1.0]], [3.0, 3.0])
    3.0
    """
    _require_pymoo()
    from pymoo.indicators.hv import HV

    return float(HV(ref_point=np.asarray(reference, dtype=np.float64))(np.asarray(losses, dtype=np.float64)))


def inverted_generational_distance_plus(losses: ArrayLike, front: ArrayLike) -> float:
    """Mean distance from points of the true front to what dominates them least badly (Ishibuchi et al. 2015).

    Arguments:
        losses: shape (N, m).
        front: shape (M, m).

    >>> inverted_generational_distance_plus([[0.0, 1.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]])
    0.0
    """
    _require_pymoo()
    from pymoo.indicators.igd_plus import IGDPlus

    return float(IGDPlus(np.asarray(front, dtype=np.float64))(np.asarray(losses, dtype=np.float64)))


def non_dominated(losses: ArrayLike) -> NDArray[np.intp]:
    """Which points no other point dominates.

    Arguments:
        losses: shape (N, m), N >= 1.

    Returns:
        Their indices, ascending.

    >>> non_dominated([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0]])
    array([0, 1])
    """
    _require_pymoo()
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    sorting = NonDominatedSorting()
    found = sorting.do(np.asarray(losses, dtype=np.float64), only_non_dominated_front=True)
    return np.sort(np.asarray(found, dtype=np.intp))


def sorted_fronts(losses: ArrayLike) -> list[NDArray[np.intp]]:
    """Points by how many fronts are better than theirs (non-dominated sorting, Deb et al. 2002).

    Arguments:
        losses: shape (N, m), N >= 1.

    Returns:
        Indices of the non-dominated, of those that are non-dominated without them, and so on; each ascending.

    >>> sorted_fronts([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0]])
    [array([0, 1]), array([2])]
    """
    _require_pymoo()
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    fronts = NonDominatedSorting().do(np.asarray(losses, dtype=np.float64))
    return [np.sort(np.asarray(front, dtype=np.intp)) for front in fronts]


def _require_pymoo() -> None:
    try:
        import pymoo  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'Hypervolume, distances to a front and sorting of points need pymoo: pip install "ib-analysis[pareto]".'
        ) from error
