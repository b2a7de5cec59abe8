"""Plain CNN, ResNet, ResNet Init and ResNet in ResNet of equally many parameters, compared over seeds."""

from ib_analysis.studies.residual_blocks.command import check, extent, run
from ib_analysis.studies.residual_blocks.config import ResidualBlocksConfig

__all__ = ["CONFIG", "ResidualBlocksConfig", "check", "extent", "run"]

CONFIG = ResidualBlocksConfig
