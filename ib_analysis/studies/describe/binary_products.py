"""What the checker finds in an experiment's binary networks, in words."""

from __future__ import annotations

from ib_analysis.binary import Phase, check_products
from ib_analysis.data import image_space, split_sizes
from ib_analysis.encoders import BinaryNetwork
from ib_analysis.experiment import Experiment
from ib_analysis.quantization import number_format
from ib_analysis.records.encoders import initial_encoder

__all__ = ["binary_lines"]


def binary_lines(experiment: Experiment) -> list[str]:
    """Two lines for each task's binary network, as it will be after training; nothing without one.

    Raises:
        UserError: one multiplies real numbers.
    """
    data = experiment.config.data
    space, sizes = image_space(data, recheck=False), split_sizes(data, recheck=False)
    lines = []
    for run in {run.task: run for run in experiment.runs if number_format(run.number_format).is_binary}.values():
        network = initial_encoder(experiment, run, space, sizes["encoder"])
        assert isinstance(network, BinaryNetwork)
        report = check_products(network.set_phase(Phase.BINARY), space.image_shape, space.intensities)
        lines += [f"binary, {run.task}: {line}" for line in report.text().splitlines()]
    return lines
