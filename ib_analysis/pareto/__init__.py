"""Exact Pareto optimal search: the point of a wanted trade-off, for networks and for functions of vectors."""

from ib_analysis.pareto.aggregation import EPO
from ib_analysis.pareto.descent import EPODescent, EPOStep
from ib_analysis.pareto.direction import Bounds
from ib_analysis.pareto.front import fill_front, trace_front
from ib_analysis.pareto.optimality import Residuals, residuals
from ib_analysis.pareto.preferences import angle_degrees, circle_preferences, non_uniformity, simplex_preferences
from ib_analysis.pareto.problems import Problem
from ib_analysis.pareto.quality import hypervolume, inverted_generational_distance_plus, non_dominated
from ib_analysis.pareto.search import ParetoPoint, SearchConfig, search
from ib_analysis.pareto.weighting import EPOWeighting

__all__ = [
    "EPO",
    "Bounds",
    "EPODescent",
    "EPOStep",
    "EPOWeighting",
    "ParetoPoint",
    "Problem",
    "Residuals",
    "SearchConfig",
    "angle_degrees",
    "circle_preferences",
    "fill_front",
    "hypervolume",
    "inverted_generational_distance_plus",
    "non_dominated",
    "non_uniformity",
    "residuals",
    "search",
    "simplex_preferences",
    "trace_front",
]
