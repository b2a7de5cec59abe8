"""Codes for the layers of quantized networks that are made of codes: fitted on the decoder's images, one per cell."""

from __future__ import annotations

import math
import time

import numpy as np
import torch
from torch import Tensor

from decoders import PixelCNNPP
from ib_analysis.activations import groups_of
from ib_analysis.activations.layout import Layout
from ib_analysis.artifacts import load_tensors, sha256_of_plain
from ib_analysis.brackets import ChannelCode, PlaneFeed, plane_code_lengths_bits, plane_network
from ib_analysis.brackets.counted import LARGEST_LAYER_BITS, counted_information_bits
from ib_analysis.engines.local import Progress, Unit
from ib_analysis.experiment import Experiment, ExperimentConfig, Run, cell_name
from ib_analysis.fits.artifact import fit_artifact
from ib_analysis.fits.leak_guard import image_guard
from ib_analysis.records.activations import open_activations
from ib_analysis.records.arrays import save_arrays
from ib_analysis.records.densities import coded_cell, coded_cells, density_artifact
from ib_analysis.records.encoders import measured_encoder
from ib_analysis.records.images import images_of

__all__ = ["density_units"]

MEASURED_TOGETHER = 256
"""Images whose planes are coded at once: few passes through a small network cost mostly what each pass costs."""


def density_units(experiment: Experiment) -> list[Unit]:
    """One unit per cell of codes whose code lengths are not complete."""
    return [
        Unit(f"{found.run.key}/{cell_name(*found.cell)}", _density, (experiment.config, found.run, found.cell))
        for found in coded_cells(experiment)
        if found.code_lengths.status() != "complete"
    ]


def _density(config: ExperimentConfig, run: Run, cell: tuple[int, str], progress: Progress) -> None:
    experiment, settings = Experiment(config), config.brackets
    activations = open_activations(experiment, run)
    layout = activations.layout(*cell)
    assert layout.bits is not None
    lowest = -(2 ** (layout.bits - 1)) if layout.signed else 0

    def read(group: int) -> Tensor:
        return (activations.read(*cell, group).cpu() - lowest).to(torch.int16)

    data = images_of(experiment)
    feed = PlaneFeed(
        read,
        groups_of(data, config.activations.group_size),
        layout.shape[0],
        settings.fitting.batch_size,
        settings.fitting.validation_images,
        image_guard(data, "a density of codes"),
    )
    model = density_artifact(experiment, run, cell)
    network = plane_network(layout.shape, layout.bits, settings.density)
    # What distinguishes models enters the seed, else all would see the same random numbers.
    seed = int(sha256_of_plain([run.key, cell_name(*cell), "density"])[:8], 16)
    fit_artifact(model, lambda: PixelCNNPP(network), feed, settings.fitting, seed, progress)

    artifact = coded_cell(experiment, run, cell, layout.bits).code_lengths
    if artifact.status() == "complete":
        return
    artifact.begin()
    start = time.perf_counter()
    decoder = PixelCNNPP(network)
    decoder.load_state_dict(load_tensors(model.path))
    decoder.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    arrays = _code_lengths(feed, decoder, layout, progress)
    encoder = measured_encoder(experiment, run, cell[0])
    facts: dict[str, int] = {}
    if math.prod(layout.shape) * layout.bits <= LARGEST_LAYER_BITS:
        counted = counted_information_bits(config.data, encoder, cell[1], layout.bits)
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
