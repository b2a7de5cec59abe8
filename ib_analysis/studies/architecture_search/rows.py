"""The tables of a comparison, one dataclass field per column."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CurveRow", "MethodRow", "SearchRow"]


@dataclass(frozen=True)
class SearchRow:
    """One search, a row of ``searches.csv``."""

    cost: str
    """Column of the cost."""
    method: str
    """Name of the method."""
    seed: int
    """Of the search."""
    evaluations: int
    """Distinct evaluations; fewer than the budget where the method had nothing new to propose."""
    repeats: int
    """Proposals that had been evaluated before; not evaluated again."""
    hypervolume_ratio: float
    """Share of the exact front's hypervolume."""
    points_found: int
    """Points of the exact front that were found."""
    igd_plus: float
    """Mean distance from the exact front's points, in losses."""
    rank_correlation: float | None
    """Mean over rounds of the surrogate's rank correlation on architectures it had not seen, where there is one."""
    seconds: float
    """Time of the search without that of evaluations, which come from a table."""


@dataclass(frozen=True)
class MethodRow:
    """One method on one problem, a row of ``architecture_search.csv``: means over seeds with t-intervals."""

    cost: str
    """Column of the cost."""
    method: str
    """Name of the method."""
    n_seeds: int
    """Searches."""
    hypervolume_ratio: float
    """Share of the exact front's hypervolume."""
    hypervolume_ratio_low: float
    """Lower end of its interval for new seeds."""
    hypervolume_ratio_high: float
    """Upper end."""
    points_found: float
    """Points of the exact front that were found."""
    points_found_low: float
    """Lower end of its interval."""
    points_found_high: float
    """Upper end."""
    exact_points: int
    """Points of the exact front."""
    igd_plus: float
    """Mean distance from the exact front's points, in losses."""
    igd_plus_low: float
    """Lower end of its interval."""
    igd_plus_high: float
    """Upper end."""
    evaluations: float
    """Mean number of distinct evaluations."""
    repeats: float
    """Mean number of proposals that had been evaluated before."""
    rank_correlation: float | None
    """Of the surrogate, where there is one."""
    seconds: float
    """Mean time of a search."""


@dataclass(frozen=True)
class CurveRow:
    """One method after some evaluations, a row of ``curves.csv``."""

    cost: str
    """Column of the cost."""
    method: str
    """Name of the method."""
    evaluations: int
    """Distinct evaluations; a search that ended before counts with its last value."""
    hypervolume_ratio: float
    """Mean over seeds of the share of the exact front's hypervolume."""
    hypervolume_ratio_low: float
    """Lower end of its t-interval for new seeds."""
    hypervolume_ratio_high: float
    """Upper end."""
