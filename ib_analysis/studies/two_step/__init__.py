"""Binary networks trained in two steps, activations first and then weights, against training both at once."""

from ib_analysis.studies.two_step.command import check, extent, run
from ib_analysis.studies.two_step.config import TwoStepConfig

__all__ = ["CONFIG", "TwoStepConfig", "check", "extent", "run"]

CONFIG = TwoStepConfig
