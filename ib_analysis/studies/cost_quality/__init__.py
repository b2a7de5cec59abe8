"""Cost and quality: accuracy and generalization of number formats over depths and widths, against what they cost."""

from ib_analysis.studies.cost_quality.command import check, extent, run
from ib_analysis.studies.cost_quality.config import CostQualityConfig

__all__ = ["CONFIG", "CostQualityConfig", "check", "extent", "run"]

CONFIG = CostQualityConfig
