"""Published accuracies beside those of an experiment, with all that keeps the two from being compared."""

from ib_analysis.studies.yardsticks.command import check, extent, run
from ib_analysis.studies.yardsticks.config import YardsticksConfig

__all__ = ["CONFIG", "YardsticksConfig", "check", "extent", "run"]

CONFIG = YardsticksConfig
