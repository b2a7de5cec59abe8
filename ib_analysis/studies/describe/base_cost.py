"""What the base of deep readers will cost, and the features that are kept of it: counted before anything runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

from decoders import ImageSpace, PixelCNNPP, PixelCNNPPConfig
from ib_analysis.data import split_sizes
from ib_analysis.data.splits import validation_size
from ib_analysis.experiment import Experiment
from ib_analysis.records.bases import recipe_on
from ib_analysis.stages.base import EVALUATED
from ib_analysis.studies.describe.passes import BACKWARD

__all__ = ["FLOAT16_BYTES", "BaseCost", "base_cost", "base_passes"]

FLOAT16_BYTES = 2


@dataclass(frozen=True)
class BaseCost:
    """Parameters, FLOPs and seconds of one process; the fit is taken to use all its steps.

    The base's features of the experiment's images are kept where activations are dumped, and cost what is said of them
    here. Where activations are recomputed nothing is kept: readers compute features whenever they need them, which is
    in their own FLOPs.
    """

    parameters: int
    flops_per_image: int
    """Forward."""
    flops: float
    """Of the fit, its validations and its card, as ``seconds``."""
    seconds: float
    feature_bytes: int
    """On disk, as ``feature_flops`` and ``feature_seconds`` of all images of the experiment; 0 if nothing is kept."""
    feature_flops: float
    feature_seconds: float
    ships: bool
    """Whether a base of this recipe is part of the package: one of these very images is taken and costs no fit."""


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
    """Count and time the fit of the base, and its features of the experiment's images.

    Arguments:
        space: images.
        measure: of a network, FLOPs of one image forward, and seconds of a training step and of a forward pass.
    """
    config = experiment.config
    base = PixelCNNPP(PixelCNNPPConfig(space, config.base_network))
    forward_flops, step_seconds, forward_seconds = measure(base)
    fitted, looked_at = base_passes(experiment)
    sizes = split_sizes(config.data, recheck=False)
    kept = sizes["decoder"] + sizes["evaluation"] if config.activations.mode == "dump" else 0
    return BaseCost(
        parameters=sum(tensor.numel() for tensor in base.parameters()),
        flops_per_image=forward_flops,
        flops=float(forward_flops) * ((1 + BACKWARD) * fitted + looked_at),
        seconds=step_seconds * fitted + forward_seconds * looked_at,
        feature_bytes=FLOAT16_BYTES * config.base_network.filters * space.height * space.width * kept,
        feature_flops=float(forward_flops) * kept,
        feature_seconds=forward_seconds * kept,
        ships=config.base == "shipped" and recipe_on(experiment, "", space).ships,
    )
