"""What the density models of codes, the upper ends of brackets, will cost: counted before anything runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from decoders import PixelCNNPP
from ib_analysis.brackets import plane_network
from ib_analysis.data.splits import validation_size
from ib_analysis.encoders import TappedNetwork, tap_shapes
from ib_analysis.experiment import Experiment
from ib_analysis.quantization import code_taps, number_format
from ib_analysis.records.densities import bracket_epochs
from ib_analysis.studies.describe.passes import BACKWARD

__all__ = ["DensityCost", "density_cost"]


@dataclass(frozen=True)
class DensityCost:
    """Fits, FLOPs, and seconds of one process after another.

    Fits are taken to use all their steps, and every chosen epoch to lie after the step from which on activations are
    quantized: both overstate.
    """

    n_fits: int
    flops: float
    seconds: float


def density_cost(
    experiment: Experiment,
    encoders: Mapping[str, TappedNetwork],
    image_shape: tuple[int, ...],
    sizes: Mapping[str, int],
    measure: Callable[[PixelCNNPP], tuple[int, float, float]],
) -> DensityCost:
    """Count the density models of all layers that become codes.

    Arguments:
        encoders: number format -> a network at its initialisation.
        sizes: images of the splits.
        measure: of a network, FLOPs of one plane forward, and seconds of a training step and of a forward pass.
    """
    config, settings = experiment.config, experiment.config.brackets
    fitting, epochs = settings.fitting, len(bracket_epochs(experiment))
    n_validation = validation_size(sizes["decoder"], config.data.validation_share)
    n_fits, flops, seconds = 0, 0.0, 0.0
    for name, encoder in encoders.items():
        if not number_format(name).is_quantized or config.spike_in:
            continue
        times = epochs * sum(run.number_format == name for run in experiment.runs)
        shapes = tap_shapes(encoder, image_shape)
        for layer, code in code_taps(encoder, image_shape).items():
            if layer not in experiment.layers or not times:
                continue
            device = next(encoder.parameters()).device
            network = PixelCNNPP(plane_network(shapes[layer], code.bits, settings.density)).to(device)
            forward_flops, step_seconds, forward_seconds = measure(network)
            planes = shapes[layer][0]
            # A validation looks at every plane of whole groups, and once more without the planes before.
            validated = 2 * max(fitting.validation_images, planes * min(config.activations.group_size, n_validation))
            fitted = fitting.steps * fitting.batch_size
            looked_at = math.ceil(fitting.steps / fitting.validate_every) * validated + planes * sizes["evaluation"]
            n_fits += times
            flops += times * float(forward_flops) * ((1 + BACKWARD) * fitted + looked_at)
            seconds += times * (step_seconds * fitted + forward_seconds * looked_at)
    return DensityCost(n_fits, flops, seconds)
