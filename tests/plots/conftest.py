"""Fixtures of the figures' tests."""

from saved_experiments import experiment, make_experiment

__all__ = ["experiment", "make_experiment"]
