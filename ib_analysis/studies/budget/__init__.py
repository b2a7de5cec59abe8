"""Budget curves: code lengths and information against optimiser steps and against the size of the decoder."""

from ib_analysis.studies.budget.command import check, extent, run
from ib_analysis.studies.budget.config import BudgetConfig

__all__ = ["CONFIG", "BudgetConfig", "check", "extent", "run"]

CONFIG = BudgetConfig
