"""What an experiment will cost, said before anything runs: cells, fits, operations, disk and an estimate of time."""

from __future__ import annotations

import dataclasses
import math
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from decoders import ImageSpace, PixelCNNPP
from ib_analysis.data import Space, image_space, split_sizes
from ib_analysis.encoders import EncoderConfig, TappedNetwork, layer_works, multiply_accumulates, tap_shapes
from ib_analysis.experiment import BASE, Experiment
from ib_analysis.quantization import format_cost, number_format, plan
from ib_analysis.records.bases import BASES
from ib_analysis.records.decoders import network_of
from ib_analysis.records.encoders import initial_encoder
from ib_analysis.records.joint import decoder_key
from ib_analysis.studies.describe.base_cost import FLOAT16_BYTES, BaseCost, base_cost
from ib_analysis.studies.describe.binary_products import binary_lines
from ib_analysis.studies.describe.decoder_cost import decoder_flops, seconds_of, time_decoder, untrained
from ib_analysis.studies.describe.density_cost import DensityCost, density_cost
from ib_analysis.studies.describe.passes import BACKWARD, count_passes

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
    decoder = _decoder_cost(experiment, space, shapes, device)
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
        free_bytes=shutil.disk_usage(_existing(experiment.folder)).free,
        training_seconds=(encoder_step * passes.trained + encoder_forward * passes.tested) / encoders_at_once,
        encoding_seconds=encoder_forward * passes.encoded / encoding_at_once,
        fitting_seconds=(step_seconds * passes.fitted + forward_seconds * passes.validated) / side_by_side,
        measuring_seconds=forward_seconds * passes.measured / side_by_side,
        densities=dataclasses.replace(densities, seconds=densities.seconds / encoders_at_once),
        base=base,
    )


def _steps(experiment: Experiment) -> str:
    """Steps of one fit, or how many the shortest and the longest have."""
    steps = {experiment.fitting_for(fit).steps for fit in experiment.fits if fit.key != BASE}
    return " to ".join(f"{number:,}" for number in sorted({min(steps), max(steps)}))


def describe(experiment: Experiment) -> str:
    """The cost in words, with a warning where the disk is too small."""
    config, found = experiment.config, cost(experiment)
    mode = config.activations.mode
    lines = [
        f"{found.n_encoders} encoders ({_architecture(config.encoder)}, "
        f"{found.encoder_parameters:,} parameters, {found.encoder_macs:,} multiply-accumulates an image), "
        f"{config.training.epochs} epochs, looked at after epochs {', '.join(map(str, experiment.epochs))}",
        f"{found.n_cells} cells (task, seed, epoch, layer), {found.n_fits} decoder fits ({config.sharing}) of "
        f"{_steps(experiment)} steps of {config.fitting.batch_size} images",
        f"{'decoder' if found.base is None else 'reader, mean over the layers'}: {found.decoder_parameters:,} "
        f"parameters, {found.decoder_flops_per_image:,} FLOPs an image forward",
        *_base_lines(experiment, found.base),
        *_format_costs(experiment),
        *binary_lines(experiment),
        *(
            [
                f"brackets: at most {found.densities.n_fits} density models of codes, {found.densities.flops:.2e} "
                f"FLOPs, {_duration(found.densities.seconds)}"
            ]
            if found.densities.n_fits
            else []
        ),
        f"operations: encoders {found.training_flops:.2e}, activations {found.encoding_flops:.2e}, "
        f"decoders {found.fitting_flops:.2e}, measuring {found.measuring_flops:.2e} FLOPs",
        f"activations: {mode}, "
        + (
            f"{_size(found.activation_bytes)} before compression"
            if mode == "dump"
            else "made again from the checkpoints when needed, nothing on disk"
        ),
        f"disk: {_size(found.disk_bytes)} of {_size(found.free_bytes)} free",
        f"time on this machine, roughly: encoders {_duration(found.training_seconds)}, activations "
        f"{_duration(found.encoding_seconds)}, decoders {_duration(found.fitting_seconds)}, measuring "
        f"{_duration(found.measuring_seconds)}, "
        "and some minutes for probes, samples and figures",
    ]
    if mode == "dump" and found.activation_bytes > 10 * 2**30:
        lines.append("advice: --activations.mode recompute gives the same numbers without this dump")
    if found.disk_bytes > found.free_bytes:
        lines.append(
            "WARNING: this does not fit on the disk; use --activations.mode recompute, fewer checkpoints, or "
            "--checkpoints FOLDER on a larger disk"
        )
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


def _base_lines(experiment: Experiment, found: BaseCost | None) -> list[str]:
    """What the base and its features take; nothing without one."""
    if found is None:
        return []
    config = experiment.config
    features = "its features are computed again whenever readers need them"
    if found.feature_bytes:
        features = (
            f"its features of these images: {_size(found.feature_bytes)}, {found.feature_flops:.2e} FLOPs, "
            f"{_duration(found.feature_seconds)}"
        )
    return [
        f"base (ib base {shlex.quote(config.name)}; once for all experiments on these images, kept in "
        f"{Path(config.checkpoints) / BASES}): {found.parameters:,} parameters, "
        f"{config.base_fitting.steps:,} steps of {config.base_fitting.batch_size} images, "
        f"{found.flops:.2e} FLOPs, {_duration(found.seconds)}; {found.flops_per_image:,} FLOPs an image forward; "
        f"{features}"
    ]


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


@dataclass(frozen=True)
class _DecoderCost:
    """Of one decoder, or the mean over those of an experiment."""

    parameters: float
    flops: float
    step_seconds: float
    forward_seconds: float


def _decoder_cost(
    experiment: Experiment, space: Space, shapes: dict[str, tuple[int, ...]], device: torch.device
) -> _DecoderCost:
    """Of a gated decoder, whichever its cells are; of readers, which differ by layer, the mean over the layers."""
    image = ImageSpace(*space.image_shape, space.intensities)
    size, looks_up = experiment.decoder_size, experiment.config.activations.mode == "dump"
    conditional = [fit for fit in experiment.fits if fit.key != BASE]
    chosen = [(conditional[-1], 0)]
    if experiment.has_base:
        chosen = []
        for layer in experiment.layers:
            fit = next(fit for fit in conditional if any(name == layer for _, name in fit.cells))
            chosen.append((fit, [name for _, name in fit.cells].index(layer)))
    found = []
    for fit, cell in chosen:
        decoder = untrained(network_of(experiment, fit, image, shapes, whole=True), size, looks_up).to(device)
        flops = decoder_flops(decoder, cell)
        parameters = sum(tensor.numel() for tensor in decoder.parameters())
        found.append((parameters, flops, *time_decoder(decoder, flops, device, cell)))
    return _DecoderCost(*(sum(column) / len(found) for column in zip(*found, strict=True)))


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


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def _size(count: float) -> str:
    """
    >>> _size(3 * 2**30)
    '3.0 GiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _duration(seconds: float) -> str:
    """
    >>> _duration(90), _duration(7300)
    ('2 min', '2.0 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
