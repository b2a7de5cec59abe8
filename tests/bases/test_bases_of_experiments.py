"""Experiments that are meant to stand on one base do: a field that differs would have another one fitted for hours."""

from __future__ import annotations

import pytest

from ib_analysis.cli import parse_experiment
from ib_analysis.experiment import Experiment
from ib_analysis.records.bases import base_artifact, is_shipped


def test_the_front_stands_on_the_shipped_base_of_the_default() -> None:
    artifacts = [base_artifact(Experiment(parse_experiment("base", [name]))) for name in ("default", "pareto-front")]
    assert artifacts[0].path == artifacts[1].path
    assert is_shipped(artifacts[1])


@pytest.mark.parametrize("name", ["pareto-cifar10-16", "cifar10-16-long"])
def test_real_images_share_a_base(name: str) -> None:
    """By what the base is made from, for the images may not be here."""
    one, other = (parse_experiment("base", [experiment]) for experiment in ("cifar10-16", name))
    for field in ("data", "base", "base_network", "base_fitting", "base_seed", "base_learns_from", "spike_in"):
        assert getattr(one, field) == getattr(other, field), field
