"""Bases: unconditional models of a data set, fitted once, that belong to the images and not to an experiment."""

from ib_analysis.bases.feed import BaseFeed
from ib_analysis.bases.files import read_base, write_base
from ib_analysis.bases.recipe import BaseRecipe

__all__ = ["BaseFeed", "BaseRecipe", "read_base", "write_base"]
