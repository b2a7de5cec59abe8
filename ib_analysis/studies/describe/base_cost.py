"""What `ib base` will cost: counted before anything runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

from decoders import ImageSpace, PixelCNNPP, PixelCNNPPConfig
from ib_analysis.data import split_sizes
from ib_analysis.data.splits import validation_size
from ib_analysis.experiment import Experiment
from ib_analysis.stages.base import EVALUATED
from ib_analysis.studies.describe.passes import BACKWARD

__all__ = ["BaseCost", "base_cost", "base_passes"]


@dataclass(frozen=True)
class BaseCost:
    """Parameters, FLOPs and seconds of one process; the fit is taken to use all its steps."""

    parameters: int
    flops: float
    seconds: float


def base_passes(experiment: Experiment) -> tuple[int, int]:
    """Images of the fit, and of its validations and its card.

    Whether the base is there already is not asked: only the images themselves would tell which it is.
    """
    config, fitting = experiment.config, experiment.config.base_fitting
    whole = dataclasses.replace(config.data, per_class=None, evaluation_per_class=None)
    sizes = split_sizes(config.data if config.data.source == "factors" else whole, recheck=False)
    validated = fitting.validation_images
    if config.data.source != "factors":
        validated = min(validated, validation_size(sizes["decoder"], config.data.validation_share))
    validations = math.ceil(fitting.steps / fitting.validate_every) + 1  # the last one of the weights as written
    return fitting.steps * fitting.batch_size, validations * validated + min(EVALUATED, sizes["evaluation"])


def base_cost(
    experiment: Experiment, space: ImageSpace, measure: Callable[[PixelCNNPP], tuple[int, float, float]]
) -> BaseCost:
    """Count and time the fit of the base.

    Arguments:
        measure: of a network, FLOPs of one image forward, and seconds of a training step and of a forward pass.
    """
    base = PixelCNNPP(PixelCNNPPConfig(space, experiment.config.base_network))
    forward_flops, step_seconds, forward_seconds = measure(base)
    fitted, looked_at = base_passes(experiment)
    return BaseCost(
        parameters=sum(tensor.numel() for tensor in base.parameters()),
        flops=float(forward_flops) * ((1 + BACKWARD) * fitted + looked_at),
        seconds=step_seconds * fitted + forward_seconds * looked_at,
    )
