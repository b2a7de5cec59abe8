"""The tables of a comparison, one dataclass field per column."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CurveRow", "FrontRow", "MethodRow", "RoundRow", "SearchRow", "TransferRow"]


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
    hypervolume_ratio: float | None
    """Share of the exact front's hypervolume; empty where that is 0: no architecture of the table keeps the limits, or
    none is better than the references."""
    points_found: int
    """Points of the exact front that were found."""
    igd_plus: float
    """Mean distance from the exact front's points, in losses."""
    violation: float
    """Least violation of the limits that was found; 0 where they are kept."""
    rank_correlation: float | None
    """Mean over rounds of the surrogate's rank correlation on the accuracy of architectures that it had not seen, where
    there is one."""
    rank_correlation_cost: float | None
    """The same on the cost, where that is predicted and not known."""
    seconds: float
    """Processor time of the search without that of evaluations, which come from a table."""


@dataclass(frozen=True)
class MethodRow:
    """One method on one problem, a row of ``architecture_search.csv``: means over seeds with t-intervals."""

    cost: str
    """Column of the cost."""
    method: str
    """Name of the method."""
    n_seeds: int
    """Searches."""
    hypervolume_ratio: float | None
    """Share of the exact front's hypervolume; empty where that is 0: no architecture of the table keeps the limits, or
    none is better than the references."""
    hypervolume_ratio_low: float | None
    """Lower end of its interval for new seeds."""
    hypervolume_ratio_high: float | None
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
    as_feasible: int
    """Searches that broke the limits no more than they must be broken: where anything keeps them, those that found
    such a thing."""
    violation: float
    """Mean of the least violations of the limits that searches found."""
    evaluations: float
    """Mean number of distinct evaluations."""
    repeats: float
    """Mean number of proposals that had been evaluated before."""
    rank_correlation: float | None
    """Of the surrogate on the accuracy, where there is one."""
    rank_correlation_cost: float | None
    """Of the surrogate on the cost, where that is predicted."""
    seconds: float
    """Median processor time of a search; the first of a process also loads libraries."""


@dataclass(frozen=True)
class RoundRow:
    """One metric that a surrogate predicted in one round, a row of ``rounds.csv``: means over those searches whose
    round has a rank correlation."""

    cost: str
    """Column of the cost."""
    method: str
    """Name of the method."""
    round: int
    """From 1 on; the first of a search has nothing to predict from."""
    metric: str
    """Column that was predicted."""
    n_seeds: int
    """Searches."""
    candidates: float
    """Mean number of architectures among which the round chose."""
    n_architectures: float
    """Mean number of those that were evaluated: what each correlation is over."""
    rank_correlation: float
    """Spearman's, of prediction and truth."""
    rank_correlation_low: float
    """Lower end of its t-interval for new seeds."""
    rank_correlation_high: float
    """Upper end."""


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


@dataclass(frozen=True)
class FrontRow:
    """A point of a front, a row of ``fronts.csv``: the exact ones, and those of each method's median search."""

    cost: str
    """Column of the cost."""
    method: str
    """Name of the method, or ``exact``."""
    seed: int | None
    """Of the search, the median one by its hypervolume ratio (the lower of two); empty for the exact front."""
    cost_value: float
    """In the unit of its column."""
    accuracy: float
    """In the unit of its column."""
    architecture: str
    """The cell's string, or its choices."""


@dataclass(frozen=True)
class TransferRow:
    """What fronts for one device are worth on another, a row of ``transfer.csv``."""

    method: str
    """Name of the method that searched, or ``exact``."""
    source: str
    """Column of the cost that the fronts are for."""
    target: str
    """Column of the cost by which they are judged."""
    n_seeds: int
    """Searches; 1 for the exact front."""
    regret: float
    """Share of the target's exact hypervolume that the source's front lacks; mean over searches."""
    regret_low: float
    """Lower end of its t-interval for new seeds."""
    regret_high: float
    """Upper end."""
    shared: int | None
    """Architectures on the exact fronts of both; empty for searches."""
