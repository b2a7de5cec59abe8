"""Figures and the page of samples, drawn from saved artifacts alone."""

from ib_analysis.plots import backend  # before all that imports matplotlib  # noqa: F401
from ib_analysis.plots.draw import draw_all
from ib_analysis.plots.page import write_samples_page

__all__ = ["draw_all", "write_samples_page"]
