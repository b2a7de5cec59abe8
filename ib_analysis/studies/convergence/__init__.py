"""Convergence: whether intervals that are widened by the measured change contain what far longer fits find."""

from ib_analysis.studies.convergence.command import check, extent, run
from ib_analysis.studies.convergence.config import ConvergenceConfig

__all__ = ["CONFIG", "ConvergenceConfig", "check", "extent", "run"]

CONFIG = ConvergenceConfig
