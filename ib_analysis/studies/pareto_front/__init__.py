"""The front between recognising and remembering: what networks of every trade-off are worth, and what they keep."""

from ib_analysis.studies.pareto_front.command import check, extent, run
from ib_analysis.studies.pareto_front.config import ParetoFrontConfig

__all__ = ["CONFIG", "ParetoFrontConfig", "check", "extent", "run"]

CONFIG = ParetoFrontConfig
