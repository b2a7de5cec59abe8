"""What an experiment will cost, said before anything runs: cells, fits, operations, disk and an estimate of time."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch

from decoders import ImageSpace, PixelCNNPP
from ib_analysis.data import image_space, split_sizes
from ib_analysis.encoders import EncoderConfig, TappedNetwork, layer_works, multiply_accumulates, tap_shapes
from ib_analysis.experiment import BASE, Experiment
from ib_analysis.experiment_config import unused_by_architecture
from ib_analysis.quantization import format_cost, number_format, plan
from ib_analysis.records.encoders import initial_encoder
from ib_analysis.records.joint import decoder_key
from ib_analysis.studies.describe.base_cost import FLOAT16_BYTES, BaseCost, base_cost
from ib_analysis.studies.describe.binary_products import binary_lines
from ib_analysis.studies.describe.decoder_cost import cost_of_decoders, decoder_flops, seconds_of, time_decoder
from ib_analysis.studies.describe.density_cost import DensityCost, density_cost
from ib_analysis.studies.describe.filed import describe_file
from ib_analysis.studies.describe.passes import BACKWARD, count_passes
from ib_analysis.studies.describe.words import base_lines, disk_warning, duration, free_bytes, size, steps

__all__ = ["Cost", "cost", "describe"]


@dataclass(frozen=True)
class Cost:
    """The size of an experiment. Operations are FLOPs (a multiply-accumulate is two); times are estimates in seconds
    on this machine, from one timed minibatch of each network."""

    n_cells: int
    n_encoders: int
    n_fits: int
    encoder_parameters: int
    encoder_macs: int
    decoder_parameters: int
    decoder_flops_per_image: int
    training_flops: float
    encoding_flops: float
    fitting_flops: float
    measuring_flops: float
    activation_bytes: int
    checkpoint_bytes: int
    free_bytes: int
    training_seconds: float
    encoding_seconds: float
    fitting_seconds: float
    measuring_seconds: float
    densities: DensityCost
    base: BaseCost | None
    """The base under deep readers, which other experiments share; in no other number but that of the disk."""

    @property
    def disk_bytes(self) -> int:
        """Activations before compression, all checkpoints, and the base's features."""
        features = 0 if self.base is None else self.base.feature_bytes
        return self.activation_bytes + self.checkpoint_bytes + features


def cost(experiment: Experiment) -> Cost:
    """Count and time what the experiment will do.

    Raises:
        UserError: the data set's size cannot be told because it is not there.
    """
    config = experiment.config
    space, sizes = image_space(config.data, recheck=False), split_sizes(config.data, recheck=False)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(config.threads)
    epochs = experiment.epochs
    by_format = {run.number_format: run for run in experiment.runs}
    encoders = {
        name: initial_encoder(experiment, run, space, sizes["encoder"]).to(device) for name, run in by_format.items()
    }
    encoder = next(iter(encoders.values()))
    found = tap_shapes(encoder, space.image_shape)
    shapes = {layer: found[layer] for layer in experiment.in_order}
    decoder = cost_of_decoders(experiment, space, shapes, device)
    macs, flops = multiply_accumulates(encoder, space.image_shape), round(decoder.flops)
    n_fits = len({decoder_key(experiment, fit) for fit in experiment.fits if fit.key != BASE})

    side_by_side = min(experiment.workers, n_fits) if device.type == "cpu" else 1
    n_images = sizes["decoder"] + sizes["evaluation"]
    passes = count_passes(experiment, sizes)
    parameters = sum(tensor.numel() for tensor in encoder.parameters())
    decoder_parameters = round(decoder.parameters)
    values = sum(math.prod(shape) for shape in shapes.values())
    dumped = values * FLOAT16_BYTES * n_images * len(epochs) * len(experiment.runs)
    step_seconds, forward_seconds = decoder.step_seconds, decoder.forward_seconds
    times = [_time_encoder(network, space.image_shape, device) for network in encoders.values()]

    def measure(network: PixelCNNPP) -> tuple[int, float, float]:
        network_flops = decoder_flops(network.to(device))
        return network_flops, *time_decoder(network, network_flops, device)

    densities = density_cost(experiment, encoders, space.image_shape, sizes, measure)
    image = ImageSpace(*space.image_shape, space.intensities)
    base = base_cost(experiment, image, measure) if experiment.has_base else None
    encoder_step, encoder_forward = (sum(column) / len(times) for column in zip(*times, strict=True))
    encoders_at_once = min(side_by_side, len(experiment.runs))
    encoding_at_once = side_by_side if config.activations.mode == "recompute" else encoders_at_once
    return Cost(
        n_cells=len(experiment.cells) * len(experiment.runs),
        n_encoders=len(experiment.runs),
        n_fits=n_fits,
        encoder_parameters=parameters,
        encoder_macs=macs,
        decoder_parameters=decoder_parameters,
        decoder_flops_per_image=flops,
        training_flops=2.0 * macs * ((1 + BACKWARD) * passes.trained + passes.tested),
        encoding_flops=2.0 * macs * passes.encoded,
        fitting_flops=float(flops) * ((1 + BACKWARD) * passes.fitted + passes.validated),
        measuring_flops=float(flops) * passes.measured,
        activation_bytes=dumped if config.activations.mode == "dump" else 0,
        # weights and momentum per epoch; a decoder's weights, and while it is fitted their average and two moments
        checkpoint_bytes=4 * (2 * parameters * len(epochs) * len(experiment.runs))
        + 4 * decoder_parameters * (n_fits + 6 * side_by_side),
        free_bytes=free_bytes(experiment.folder),
        training_seconds=(encoder_step * passes.trained + encoder_forward * passes.tested) / encoders_at_once,
        encoding_seconds=encoder_forward * passes.encoded / encoding_at_once,
        fitting_seconds=(step_seconds * passes.fitted + forward_seconds * passes.validated) / side_by_side,
        measuring_seconds=forward_seconds * passes.measured / side_by_side,
        densities=dataclasses.replace(densities, seconds=densities.seconds / encoders_at_once),
        base=base,
    )


def describe(experiment: Experiment) -> str:
    """The cost in words, with a warning where the disk is too small; of an activations file, what it holds too."""
    if experiment.contents is not None:
        return describe_file(experiment)
    config, found = experiment.config, cost(experiment)
    mode = config.activations.mode
    lines = [
        f"{found.n_encoders} encoders ({_architecture(config.encoder)}, "
        f"{found.encoder_parameters:,} parameters, {found.encoder_macs:,} multiply-accumulates an image), "
        f"{config.training.epochs} epochs, looked at after epochs {', '.join(map(str, experiment.epochs))}",
        f"{found.n_cells} cells (task, seed, epoch, layer), {found.n_fits} decoder fits ({config.sharing}) of "
        f"{steps(experiment)} steps of {config.fitting.batch_size} images",
        f"{'decoder' if found.base is None else 'reader, mean over the layers'}: {found.decoder_parameters:,} "
        f"parameters, {found.decoder_flops_per_image:,} FLOPs an image forward",
        *base_lines(experiment, found.base),
        *_format_costs(experiment),
        *binary_lines(experiment),
        *(
            [
                f"brackets: at most {found.densities.n_fits} density models of codes, {found.densities.flops:.2e} "
                f"FLOPs, {duration(found.densities.seconds)}"
            ]
            if found.densities.n_fits
            else []
        ),
        f"operations: encoders {found.training_flops:.2e}, activations {found.encoding_flops:.2e}, "
        f"decoders {found.fitting_flops:.2e}, measuring {found.measuring_flops:.2e} FLOPs",
        f"activations: {mode}, "
        + (
            f"{size(found.activation_bytes)} before compression"
            if mode == "dump"
            else "made again from the checkpoints when needed, nothing on disk"
        ),
        f"disk: {size(found.disk_bytes)} of {size(found.free_bytes)} free",
        f"time on this machine, roughly: encoders {duration(found.training_seconds)}, activations "
        f"{duration(found.encoding_seconds)}, decoders {duration(found.fitting_seconds)}, measuring "
        f"{duration(found.measuring_seconds)}, "
        "and some minutes for probes, samples and figures",
    ]
    if mode == "dump" and found.activation_bytes > 10 * 2**30:
        lines.append("advice: --activations.mode recompute gives the same numbers without this dump")
    lines += [f"notice: {sentence}" for sentence in unused_by_architecture(config)]
    lines += disk_warning(found.disk_bytes, found.free_bytes)
    return "\n".join(lines)


def _architecture(encoder: EncoderConfig) -> str:
    """Family, depth and, where there is a choice of blocks, these with their filters.

    >>> _architecture(EncoderConfig())
    'resnet, depth 20'
    >>> _architecture(EncoderConfig("rir", depth=18, width=96, outer_shortcut=False))
    'rir, depth 18, blocks rir without outer shortcut, filters 96, 192, 384 in two streams, four convolutions'
    """
    text = f"{encoder.architecture}, depth {encoder.depth}"
    if encoder.architecture != "rir":
        return text
    outer = "" if encoder.outer_shortcut else " without outer shortcut"
    text += f", blocks {encoder.block}{outer}, filters {', '.join(map(str, encoder.stage_widths))}"
    return f"{text} in two streams, {encoder.form.replace('_', ' ')}" if encoder.has_two_streams else text


def _format_costs(experiment: Experiment) -> list[str]:
    """What each number format costs by AQT's models; nothing where all is float32."""
    config, space = experiment.config, image_space(experiment.config.data, recheck=False)
    n_images = split_sizes(config.data, recheck=False)["encoder"]
    if set(config.number_formats) == {"float32"}:
        return []
    lines = []
    for run in {run.number_format: run for run in experiment.runs}.values():
        works = layer_works(initial_encoder(experiment, run, space, n_images), space.image_shape)
        names = [work.name for work in works]
        found = format_cost(works, plan(number_format(run.number_format), names, config.quantization.overrides))
        half = format_cost(works, plan(number_format("bfloat16"), names))
        lines.append(
            f"{run.number_format}: quadratic cost {found.quadratic:.3e} ({found.quadratic / half.quadratic:.2%} of "
            f"bfloat16), linear {found.linear:.3e} ({found.linear / half.linear:.2%}), weights "
            f"{found.memory_bits / 8 / 1024:.1f} KiB"
        )
    return lines


def _time_encoder(encoder: TappedNetwork, image_shape: tuple[int, ...], device: torch.device) -> tuple[float, float]:
    """Seconds per image of a training step and of a forward pass, from one minibatch each."""
    images = torch.zeros((32, *image_shape), dtype=torch.uint8, device=device)

    def forward() -> None:
        with torch.no_grad():
            encoder(images)

    def loss() -> torch.Tensor:
        output = encoder(images)
        heads = (output,) if isinstance(output, torch.Tensor) else output
        return torch.stack([head.float().square().mean() for head in heads]).sum()

    step = seconds_of(lambda: loss().backward(), device)
    return step / 32, seconds_of(forward, device) / 32
