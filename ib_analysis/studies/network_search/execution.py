"""What a network runs as where it is used: the thing that is timed, never the simulation that is trained."""

from __future__ import annotations

import torch

from ib_analysis.artifacts import UserError
from ib_analysis.binary import Phase
from ib_analysis.binary.packed_means import is_compiled
from ib_analysis.binary.packed_network import packed_network
from ib_analysis.data import image_space
from ib_analysis.encoders import BinaryNetwork, TappedNetwork, build_encoder, condense, layer_works
from ib_analysis.experiment import Experiment, ExperimentConfig
from ib_analysis.quantization import number_format, quantized_layers
from ib_analysis.quantization.integer_kernels import on_integer_kernels
from ib_analysis.records.encoders import initial_encoder
from ib_analysis.studies.network_search.costs import layer_formats

__all__ = ["check_runnable", "execution_of", "kernels_of", "runnable"]

INT8, FLOAT, BITS = "int8", "float32", "packed bits"


def kernels_of(config: ExperimentConfig) -> dict[str, str]:
    """Layer -> the kernels that it runs on: `packed bits`, `int8` (integers of 8 bits and fewer), or `float32`, which
    bfloat16 runs on too."""
    space = image_space(config.data, recheck=False)
    network = build_encoder(config.encoder, "classification", *space, seed=0)
    works = layer_works(network, space.image_shape)
    if number_format(config.number_formats[0]).is_binary:
        return {work.name: BITS for work in works}
    return {
        name: INT8 if found.is_quantized else FLOAT for name, found in layer_formats(config, works).items()
    }  # fmt: skip


def execution_of(config: ExperimentConfig) -> dict[str, object]:
    """All that the time of a network depends on, beside the machine: equal ones are measured once."""
    return {
        "encoder": config.encoder,
        "image_shape": list(image_space(config.data, recheck=False).image_shape),
        "kernels": kernels_of(config),
        "granularity": config.quantization.granularity if INT8 in kernels_of(config).values() else "",
    }


def check_runnable(config: ExperimentConfig, device: str) -> None:
    """Refuse a network that no kernel of this machine could run.

    Arguments:
        config: of one number format.
        device: ``cpu`` or ``cuda``.

    Raises:
        UserError: a granularity that integers cannot apply; no kernels for integers, or for bits.
    """
    runnable(config, threads=1, device=device)


def runnable(
    config: ExperimentConfig, threads: int, device: str, trained: TappedNetwork | None = None
) -> torch.nn.Module:
    """The network as it runs: on packed bits, on 8-bit integers, learned groups as groups, all else as it is.

    Arguments:
        config: of one number format.
        threads: of products of bits.
        device: ``cpu`` or ``cuda``.
        trained: its trained network, which is changed; None: its initial weights, for times do not depend on them.

    Returns:
        In evaluation mode, on the device.

    Raises:
        UserError: see `check_runnable`.
    """
    others = {kind for kind in kernels_of(config).values() if kind != FLOAT}
    if device != "cpu" and others:
        raise UserError(
            f"search.device is {device}, where there are no kernels for {' and '.join(sorted(others))}; choose cpu, or "
            "search blocks basic and rir in float32 alone."
        )
    network = _initial(config) if trained is None else trained.cpu().eval()
    if isinstance(network, BinaryNetwork):
        if not is_compiled():
            raise UserError('times of binary networks need numba: pip install "ib-analysis[binary]".')
        return packed_network(network.set_phase(Phase.BINARY), threads)
    if quantized_layers(network):
        return on_integer_kernels(network)
    return condense(network).eval().to(device)


def _initial(config: ExperimentConfig) -> TappedNetwork:
    """The initial network, its bounds of activations set by a batch of random images."""
    space = image_space(config.data, recheck=False)
    (run,) = Experiment(config).runs
    images = torch.randint(
        space.intensities, (16, *space.image_shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    network = initial_encoder(Experiment(config), run, space, n_images=10**9, start=0)
    if quantized_layers(network):
        with torch.no_grad():
            network.train()(images)
    return network.eval()
