"""What an experiment will cost, said before anything runs: cells, fits, operations, disk and an estimate of time."""

from __future__ import annotations

import dataclasses
import math
import shlex
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from decoders import Condition, ImageSpace, PixelCNNPP
from ib_analysis.data import image_space, split_sizes
from ib_analysis.encoders import TappedNetwork, layer_works, multiply_accumulates, tap_shapes
from ib_analysis.experiment import Experiment, Fit
from ib_analysis.quantization import format_cost, number_format, plan
from ib_analysis.records.bases import BASES
from ib_analysis.records.decoders import network_of
from ib_analysis.records.encoders import initial_encoder
from ib_analysis.studies.describe.base_cost import BaseCost, base_cost
from ib_analysis.studies.describe.density_cost import DensityCost, density_cost
from ib_analysis.studies.describe.passes import BACKWARD, count_passes

__all__ = ["BACKWARD", "Cost", "cost", "decoder_flops", "describe"]

FLOAT16_BYTES = 2
FLOPS_OF_A_TRIAL = 2 * 10**9
"""Forward operations of a timed minibatch on a CPU, at the most: about a second with its backward pass."""


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
    base: BaseCost

    @property
    def disk_bytes(self) -> int:
        """Activations before compression, and all checkpoints."""
        return self.activation_bytes + self.checkpoint_bytes


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
    decoder = _decoder(experiment, experiment.fits[-1], space, shapes).to(device)
    macs = multiply_accumulates(encoder, space.image_shape)
    flops = decoder_flops(decoder)

    side_by_side = min(experiment.workers, len(experiment.fits)) if device.type == "cpu" else 1
    n_images = sizes["decoder"] + sizes["evaluation"]
    passes = count_passes(experiment, sizes)
    parameters = sum(tensor.numel() for tensor in encoder.parameters())
    decoder_parameters = sum(tensor.numel() for tensor in decoder.parameters())
    values = sum(math.prod(shape) for shape in shapes.values())
    dumped = values * FLOAT16_BYTES * n_images * len(epochs) * len(experiment.runs)
    step_seconds, forward_seconds = _time_decoder(decoder, flops, device)
    times = [_time_encoder(network, space.image_shape, device) for network in encoders.values()]

    def measure(network: PixelCNNPP) -> tuple[int, float, float]:
        network_flops = decoder_flops(network.to(device))
        return network_flops, *_time_decoder(network, network_flops, device)

    densities = density_cost(experiment, encoders, space.image_shape, sizes, measure)
    base = base_cost(experiment, ImageSpace(*space.image_shape, space.intensities), measure)
    encoder_step, encoder_forward = (sum(column) / len(times) for column in zip(*times, strict=True))
    encoders_at_once = min(side_by_side, len(experiment.runs))
    encoding_at_once = side_by_side if config.activations.mode == "recompute" else encoders_at_once
    return Cost(
        n_cells=len(experiment.cells) * len(experiment.runs),
        n_encoders=len(experiment.runs),
        n_fits=len(experiment.fits),
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
        + 4 * decoder_parameters * (len(experiment.fits) + 6 * side_by_side),
        free_bytes=shutil.disk_usage(_existing(experiment.folder)).free,
        training_seconds=(encoder_step * passes.trained + encoder_forward * passes.tested) / encoders_at_once,
        encoding_seconds=encoder_forward * passes.encoded / encoding_at_once,
        fitting_seconds=(step_seconds * passes.fitted + forward_seconds * passes.validated) / side_by_side,
        measuring_seconds=forward_seconds * passes.measured / side_by_side,
        densities=dataclasses.replace(densities, seconds=densities.seconds / encoders_at_once),
        base=base,
    )


def describe(experiment: Experiment) -> str:
    """The cost in words, with a warning where the disk is too small."""
    config, found = experiment.config, cost(experiment)
    mode = config.activations.mode
    lines = [
        f"{found.n_encoders} encoders ({config.encoder.architecture}, depth {config.encoder.depth}, "
        f"{found.encoder_parameters:,} parameters, {found.encoder_macs:,} multiply-accumulates an image), "
        f"{config.training.epochs} epochs, looked at after epochs {', '.join(map(str, experiment.epochs))}",
        f"{found.n_cells} cells (task, seed, epoch, layer), {found.n_fits} decoder fits ({config.sharing}) of "
        f"{config.fitting.steps:,} steps of {config.fitting.batch_size} images",
        f"decoder: {found.decoder_parameters:,} parameters, {found.decoder_flops_per_image:,} FLOPs an image forward",
        *_format_costs(experiment),
        *(
            [
                f"brackets: at most {found.densities.n_fits} density models of codes, {found.densities.flops:.2e} "
                f"FLOPs, {_duration(found.densities.seconds)}"
            ]
            if found.densities.n_fits
            else []
        ),
        f"base (ib base {shlex.quote(config.name)}; once for all experiments on these images, kept in "
        f"{Path(config.checkpoints) / BASES}): {found.base.parameters:,} parameters, "
        f"{config.base_fitting.steps:,} steps of {config.base_fitting.batch_size} images, "
        f"{found.base.flops:.2e} FLOPs, {_duration(found.base.seconds)}",
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


def _decoder(experiment: Experiment, fit: Fit, space: tuple, shapes: dict[str, tuple[int, ...]]) -> PixelCNNPP:
    (channels, height, width), intensities, _ = space
    return PixelCNNPP(network_of(experiment, fit, ImageSpace(channels, height, width, intensities), shapes))


def _batch(
    decoder: PixelCNNPP, count: int, device: torch.device | str, cell: int = 0
) -> tuple[Tensor, Condition | None]:
    image = decoder.config.image
    images = torch.zeros(count, image.channels, image.height, image.width, dtype=torch.uint8, device=device)
    if not decoder.config.cells:
        return images, None
    chosen = decoder.config.cells[cell]
    return images, Condition(torch.zeros(count, *chosen.shape, device=device), chosen.name)


def decoder_flops(decoder: PixelCNNPP, cell: int = 0) -> int:
    """FLOPs of one image's code length, by torch's own counter.

    Arguments:
        cell: place among the decoder's cells of the one whose activations are given.
    """
    device = next(decoder.parameters()).device
    images, condition = _batch(decoder, 1, device, cell)
    with FlopCounterMode(display=False) as counter:
        decoder(condition).log_prob(images)
    return counter.get_total_flops()


def _time_decoder(decoder: PixelCNNPP, flops_per_image: int, device: torch.device) -> tuple[float, float]:
    """Seconds per image of a training step and of a forward pass, from one small minibatch each."""
    # As many as in a fit where that is affordable: a single image may cost several times as much as one of many.
    affordable = FLOPS_OF_A_TRIAL // max(flops_per_image, 1)
    count = 32 if device.type == "cuda" else max(1, min(32, affordable))
    images, condition = _batch(decoder, count, device)

    def step() -> None:
        (-decoder(condition).log_prob(images).mean()).backward()

    def forward() -> None:
        with torch.no_grad():
            decoder(condition).log_prob(images)

    return _seconds(step, device) / count, _seconds(forward, device) / count


def _time_encoder(encoder: TappedNetwork, image_shape: tuple[int, ...], device: torch.device) -> tuple[float, float]:
    """Seconds per image of a training step and of a forward pass, from one minibatch each."""
    images = torch.zeros((32, *image_shape), dtype=torch.uint8, device=device)

    def forward() -> None:
        with torch.no_grad():
            encoder(images)

    step = _seconds(lambda: encoder(images).float().square().mean().backward(), device)
    return step / 32, _seconds(forward, device) / 32


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    """The quickest of a few calls: the first pays for what is done once, and others may share the machine."""
    taken: list[float] = []
    while len(taken) < 2 or (len(taken) < 6 and sum(taken) < 2.0):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return min(taken)


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
