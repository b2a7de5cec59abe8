"""Codes for the layers of quantized networks that are made of codes: fitted on the decoder's images, one per cell."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from decoders import PixelCNNPP
from ib_analysis.activations import groups_of
from ib_analysis.activations.layout import Layout
from ib_analysis.artifacts import Artifact, load_tensors, plain, sha256_of_plain
from ib_analysis.brackets import ChannelCode, PlaneFeed, plane_code_lengths_bits, plane_network
from ib_analysis.experiment import Experiment, ExperimentConfig, Run, cell_name
from ib_analysis.quantization import CodedTaps
from ib_analysis.stages.codes import codes_of
from ib_analysis.stages.context import data_section, encoder_identities, images_of, measured_encoder
from ib_analysis.stages.counted import LARGEST_LAYER_BITS, counted_information_bits
from ib_analysis.stages.dump import open_activations
from ib_analysis.stages.fit import layer_shapes
from ib_analysis.stages.fit_artifact import fit_artifact
from ib_analysis.stages.measure import save_arrays
from ib_analysis.stages.workers import Progress, Unit

__all__ = ["CodedCell", "bracket_epochs", "coded_cells", "density_units"]

MEASURED_TOGETHER = 256
"""Images whose planes are coded at once: few passes through a small network cost mostly what each pass costs."""


class CodedCell(NamedTuple):
    """A cell that is made of codes.

    Arguments:
        shape: of one image's codes, (C, h, w) or (C,).
        bits: of a code.
        density: the record of the fitted density model.
        code_lengths: the record of ``entropy_code`` and ``density`` in bits, shape (N,) each, of the evaluation images,
            and of ``counted``, shape (3,), where the layer is small enough.
    """

    run: Run
    cell: tuple[int, str]
    shape: tuple[int, ...]
    bits: int
    density: Artifact
    code_lengths: Artifact


def bracket_epochs(experiment: Experiment) -> tuple[int, ...]:
    """Epochs at which brackets are made."""
    chosen = experiment.config.brackets.epochs
    if isinstance(chosen, str):
        return experiment.epochs if chosen == "all" else experiment.epochs[-1:]
    return tuple(chosen)


def coded_cells(experiment: Experiment) -> list[CodedCell]:
    """The cells at the epochs of brackets that are made of codes.

    None with spike-ins: decoders then code other images than the encoder sees.
    """
    if experiment.config.spike_in:
        return []
    epochs, layers = bracket_epochs(experiment), experiment.config.layers
    return [
        _coded_cell(experiment, run, cell, code.bits)
        for run in experiment.runs
        for cell, code in codes_of(experiment, run).items()
        if cell[0] in epochs and cell[1] in layers
    ]


def density_units(experiment: Experiment) -> list[Unit]:
    """One unit per cell of codes whose code lengths are not complete."""
    return [
        Unit(f"{found.run.key}/{cell_name(*found.cell)}", _density, (experiment.config, found.run, found.cell))
        for found in coded_cells(experiment)
        if found.code_lengths.status() != "complete"
    ]


def _coded_cell(experiment: Experiment, run: Run, cell: tuple[int, str], bits: int) -> CodedCell:
    density = _density_artifact(experiment, run, cell)
    code_lengths = Artifact(
        density.path.with_name("code_lengths.npz"),
        "code_lengths_of_codes",
        {"cell": cell_name(*cell)},
        {"density": density.identity} if density.status() == "complete" else {},
        run.encoder_seed,
    )
    return CodedCell(run, cell, layer_shapes(experiment, run)[cell[1]], bits, density, code_lengths)


def _density_artifact(experiment: Experiment, run: Run, cell: tuple[int, str]) -> Artifact:
    """The record of a fitted density model."""
    settings = experiment.config.brackets
    config = {
        "density": plain(settings.density),
        "fitting": plain(settings.fitting),
        "cell": cell_name(*cell),
        "group_size": experiment.config.activations.group_size,
        "data": data_section(experiment),
    }
    inputs = {
        "data": images_of(experiment).sha256,
        "encoder": encoder_identities(experiment, run)[cell[0]],
    }
    path = experiment.folder / "code_densities" / run.key / cell_name(*cell).replace("/", "_") / "density.pt"
    return Artifact(path, "code_density", config, inputs, run.encoder_seed)


def _density(config: ExperimentConfig, run: Run, cell: tuple[int, str], progress: Progress) -> None:
    experiment, settings = Experiment(config), config.brackets
    activations = open_activations(experiment, run)
    layout = activations.layout(*cell)
    assert layout.bits is not None
    lowest = -(2 ** (layout.bits - 1)) if layout.signed else 0

    def read(group: int) -> Tensor:
        return (activations.read(*cell, group).cpu() - lowest).to(torch.int16)

    groups = groups_of(images_of(experiment), config.activations.group_size)
    feed = PlaneFeed(
        read, groups, layout.shape[0], settings.fitting.batch_size, settings.fitting.validation_images
    )  # fmt: skip
    model = _density_artifact(experiment, run, cell)
    network = plane_network(layout.shape, layout.bits, settings.density)
    # What distinguishes models enters the seed, else all would see the same random numbers.
    seed = int(sha256_of_plain([run.key, cell_name(*cell), "density"])[:8], 16)
    fit_artifact(model, network, feed, settings.fitting, seed, progress)

    artifact = _coded_cell(experiment, run, cell, layout.bits).code_lengths
    if artifact.status() == "complete":
        return
    artifact.begin()
    start = time.perf_counter()
    decoder = PixelCNNPP(network)
    decoder.load_state_dict(load_tensors(model.path))
    decoder.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    arrays = _code_lengths(feed, decoder, layout, progress)
    encoder = measured_encoder(experiment, run, cell[0])
    assert isinstance(encoder, CodedTaps)
    facts: dict[str, int] = {}
    if math.prod(layout.shape) * layout.bits <= LARGEST_LAYER_BITS:
        counted = counted_information_bits(config, encoder, cell[1], layout.bits)
        if counted is not None:
            arrays["counted"] = np.array([counted[0].estimate, counted[0].low, counted[0].high])
            facts["counted_images"] = counted[1]
    save_arrays(artifact, arrays, seconds=time.perf_counter() - start, **facts)


def _code_lengths(feed: PlaneFeed, decoder: PixelCNNPP, layout: Layout, progress: Progress) -> dict[str, np.ndarray]:
    """Code lengths of the evaluation images' codes under both codes, in bits, shape (N,) each."""
    assert layout.bits is not None
    code = ChannelCode(layout.shape[0], layout.bits)
    for codes in feed.codes("train"):
        code.count(codes.numpy())
    total = len(feed.groups.images("evaluation"))
    entropy: list[np.ndarray] = []
    density: list[np.ndarray] = []
    waiting: list[Tensor] = []
    done = 0
    for codes in feed.codes("evaluation"):
        entropy.append(code.code_lengths_bits(codes.numpy()))
        waiting.append(codes)
        done += len(codes)
        if sum(map(len, waiting)) >= MEASURED_TOGETHER or done == total:
            density.append(plane_code_lengths_bits(decoder, [torch.cat(waiting)]))
            waiting.clear()
            progress(done, total, {"bits": float(np.concatenate(density).mean())})
    return {"entropy_code": np.concatenate(entropy), "density": np.concatenate(density)}
