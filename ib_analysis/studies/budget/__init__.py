"""Budget curves: code lengths and information against optimiser steps and against the size of the decoder."""

from ib_analysis.studies.budget.command import run
from ib_analysis.studies.budget.config import BudgetConfig

__all__ = ["CONFIG", "BudgetConfig", "run"]

CONFIG = BudgetConfig
