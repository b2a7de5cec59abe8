"""What an experiment on a user's activations file will cost: no network is trained or run, only decoders are."""

from __future__ import annotations

import math

import torch

from decoders import ImageSpace, PixelCNNPP
from ib_analysis.data import image_space, split_sizes
from ib_analysis.experiment import BASE, Experiment
from ib_analysis.studies.describe.base_cost import FLOAT16_BYTES, base_cost
from ib_analysis.studies.describe.decoder_cost import cost_of_decoders, decoder_flops, time_decoder
from ib_analysis.studies.describe.passes import count_passes
from ib_analysis.studies.describe.words import base_lines, disk_warning, duration, free_bytes, size, steps

__all__ = ["describe_file"]


def describe_file(experiment: Experiment) -> str:
    """What the file holds, and the cost of measuring it, in words; times are estimates for this machine.

    Raises:
        UserError: the file's images, labels or splits cannot be used.
    """
    config, contents = experiment.config, experiment.contents
    assert contents is not None
    space, sizes = image_space(config.data, recheck=False), split_sizes(config.data, recheck=False)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(config.threads)
    shapes = {layer: contents.taps[layer].shape for layer in experiment.in_order}
    decoder = cost_of_decoders(experiment, space, shapes, device)
    passes = count_passes(experiment, sizes)
    n_fits = sum(fit.key != BASE for fit in experiment.fits)
    side_by_side = min(experiment.workers, n_fits) if device.type == "cpu" else 1

    def measure(network: PixelCNNPP) -> tuple[int, float, float]:
        flops = decoder_flops(network.to(device))
        return flops, *time_decoder(network, flops, device)

    image = ImageSpace(*space.image_shape, space.intensities)
    base = base_cost(experiment, image, measure) if experiment.has_base else None
    values = sum(math.prod(shape) for shape in shapes.values()) * len(experiment.epochs)
    copied = values * FLOAT16_BYTES * (sizes["decoder"] + sizes["evaluation"])
    dumped = copied if config.activations.mode == "dump" else 0
    # A decoder's weights, and while it is fitted their average and two moments.
    kept = 4 * round(decoder.parameters) * (n_fits + 6 * side_by_side)
    needed, free = dumped + kept + (base.feature_bytes if base else 0), free_bytes(experiment.folder)
    seen = "" if contents.original_shape is None else f", averages of {_told(contents.original_shape)}"
    taps = ", ".join(f"{layer} {_told(shape)}" for layer, shape in shapes.items())
    fitting = (decoder.step_seconds * passes.fitted + decoder.forward_seconds * passes.validated) / side_by_side
    measuring = decoder.forward_seconds * passes.measured / side_by_side
    lines = [
        f"{config.activations_file}: {contents.n_images} images of {_told(space.image_shape)}{seen}, "
        + (f"{space.n_classes} classes" if contents.has_labels else "without labels (what needs them is left out)")
        + f"; {sizes['decoder']} for decoders, {sizes['evaluation']} for evaluation",
        f"taps {taps}; epochs {', '.join(map(str, experiment.epochs))}",
        f"{len(experiment.cells)} cells (epoch, layer), {n_fits} decoder fits ({config.sharing}) of "
        f"{steps(experiment)} steps of {config.fitting.batch_size} images",
        f"{'decoder' if base is None else 'reader, mean over the layers'}: {round(decoder.parameters):,} parameters, "
        f"{round(decoder.flops):,} FLOPs an image forward",
        *base_lines(experiment, base),
        f"activations: {config.activations.mode}, "
        + (f"a copy of {size(dumped)} before compression" if dumped else "read from the file when needed, no copy"),
        f"disk: {size(needed)} of {size(free)} free",
        f"time on this machine, roughly: decoders {duration(fitting)}, measuring {duration(measuring)}, and some "
        "minutes for probes, samples and figures",
        *disk_warning(needed, free),
    ]
    return "\n".join(lines)


def _told(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
