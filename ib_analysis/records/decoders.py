"""The decoders of an experiment: records, networks, and what each is fed with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from decoders import Cell, Decoder, ImageSpace, PixelCNNPP, PixelCNNPPConfig, Reader
from decoders.config import Architecture, ReaderArchitecture
from decoders.transfer import weights_of_cells
from ib_analysis.activations import Activations, JoinedActivations, groups_of
from ib_analysis.artifacts import Artifact, UserError, load_tensors, settings_of, sha256_of_file
from ib_analysis.data import image_space
from ib_analysis.experiment import BASE, Experiment, Fit, cell_name
from ib_analysis.fits.artifact import halfway_sha256 as sha256_of_halfway
from ib_analysis.fits.artifact import halfway_weights
from ib_analysis.fits.feed import CellFeed, Reading, images_in_order, readings
from ib_analysis.fits.spike_ins import SpikeIns, spike_ins_for
from ib_analysis.records.activations import open_activations
from ib_analysis.records.bases import base_artifact, load_base
from ib_analysis.records.encoders import encoder_identities, layer_shapes
from ib_analysis.records.features import stored_features
from ib_analysis.records.images import data_section, images_of, measured_images
from ib_analysis.records.joint import decoder_key, described_runs, joint_reader, name_in_decoder

__all__ = [
    "decoder_artifact",
    "decoder_network",
    "decoder_of",
    "feed_for",
    "feed_of_fit",
    "halfway_sha256",
    "load_decoder",
    "load_halfway_weights",
    "network_of",
    "new_decoder",
    "new_decoder_of_fit",
    "readings_of",
    "start_path",
]


def decoder_artifact(experiment: Experiment, fit: Fit) -> Artifact:
    """The record of a fitted decoder; of a part of one, that of the whole."""
    if fit.key == BASE:
        return base_artifact(experiment)
    joint = joint_reader(experiment, fit) if fit.joint else None
    # Which settings a reader does not have, its recipe does not name.
    own: tuple[str, ...] = ("decoder", "start_from")
    if experiment.has_base:
        own = ("reader_network", "sharing", "held_gib", "start_from")
    if experiment.reads_nothing(fit):
        own = ("reader_network",)
    steps = experiment.fitting_for(fit).steps
    fitted = replace(experiment.config, fitting=replace(experiment.config.fitting, steps=steps))
    size = experiment.decoder_size_for(fit)
    if isinstance(size, ReaderArchitecture):
        fitted = replace(fitted, reader_network=size)
    config: dict[str, Any] = {
        **settings_of(fitted, *own, "fitting"),
        "group_size": experiment.config.activations.group_size,
        **(experiment.storage if fit.cells else {}),
        "cells": [cell_name(*cell) for cell in (fit if joint is None else joint).cells],
        **({} if joint is None else {"runs": described_runs(joint.runs)}),
        "data": data_section(experiment),
    }
    if experiment.config.spike_in:
        config |= experiment.section("spike_in", "spike_in_options")
    inputs = {"data": measured_images(experiment).sha256}
    if joint is not None:
        inputs |= joint.inputs(experiment)
    elif fit.run is not None:
        epochs = {epoch for epoch, _ in fit.cells}
        identities = encoder_identities(experiment, fit.run)
        inputs |= {f"encoder at epoch {epoch}": identities[epoch] for epoch in sorted(epochs)}
    if experiment.has_base:
        inputs["base"] = base_artifact(experiment).identity
    if experiment.config.start_from is not None and not experiment.reads_nothing(fit):
        inputs["start"] = sha256_of_file(start_path(experiment, fit, experiment.config.start_from))
    path = experiment.decoder_folder((fit if joint is None else joint).key) / "decoder.pt"
    return Artifact(
        path, "decoder", config, inputs, fit.decoder_seed, "reader" if experiment.has_base else "decoder"
    )  # fmt: skip


def decoder_network(experiment: Experiment, fit: Fit) -> PixelCNNPPConfig:
    """A decoder's architecture, images and cells."""
    data = images_of(experiment)
    image = ImageSpace(*data.image_shape, data.intensities)
    return network_of(experiment, fit, image, _shapes(experiment, fit))


def network_of(
    experiment: Experiment, fit: Fit, image: ImageSpace, shapes: Mapping[str, tuple[int, ...]], whole: bool = False
) -> PixelCNNPPConfig:
    """A decoder's architecture (a reader's: that of its base), images and cells.

    Arguments:
        shapes: layer -> shape of one image's activations.
        whole: of a part of a decoder, that of the whole.
    """
    architecture = experiment.config.base_network if experiment.has_base else experiment.config.decoder
    cells = tuple(Cell(cell_name(epoch, layer), layer, shapes[layer]) for epoch, layer in fit.cells)
    if whole and fit.joint:
        cells = _cells_of_whole(experiment, fit, shapes)
    spike_ins = spike_ins_for(experiment.config, (image.height, image.width), shapes, 0, 0)
    if spike_ins is None:
        return PixelCNNPPConfig(image, architecture, cells)
    cells = spike_ins.decoder_cells(cells) if cells else ()
    return PixelCNNPPConfig(image, architecture, cells, marked_pixels=spike_ins.pixels)


def _shapes(experiment: Experiment, fit: Fit) -> dict[str, tuple[int, ...]]:
    """Those of a decoder's run; an unconditional decoder has none, and needs some only for spike-ins."""
    if fit.run is None and not experiment.config.spike_in:
        return {}
    return layer_shapes(experiment, fit.run or experiment.runs[0])


def readings_of(experiment: Experiment, fit: Fit) -> tuple[Reading, ...]:
    """What a decoder is conditioned on: its cells, with spike-ins each in all its variants; no image is loaded."""
    _, height, width = image_space(experiment.config.data, recheck=False).image_shape
    spike_ins = spike_ins_for(experiment.config, (height, width), _shapes(experiment, fit), 0, 0)
    return readings(fit.cells, spike_ins)


def feed_for(experiment: Experiment, fit: Fit, scales: Mapping[str, float] | None = None) -> CellFeed:
    """The images, and the activations of the cells that a decoder is conditioned on.

    Arguments:
        scales: cell -> factor of its mixed spike-ins, as the record of a fit has it; not needed to fit.
    """
    config, data = experiment.config, measured_images(experiment)
    _, height, width = data.image_shape
    shapes = _shapes(experiment, fit)
    spike_ins = spike_ins_for(config, (height, width), shapes, len(data.decoder), len(data.evaluation))
    if spike_ins is not None and scales is not None:
        spike_ins.scales.update(scales)
    activations = open_activations(experiment, fit.run) if fit.run is not None else None
    return _feed(experiment, activations, fit.cells, spike_ins)


def _feed(
    experiment: Experiment,
    activations: Activations | None,
    cells: tuple[tuple[int, str], ...],
    spike_ins: SpikeIns | None,
) -> CellFeed:
    config, data = experiment.config, measured_images(experiment)
    return CellFeed(
        images_in_order(data),
        groups_of(data, config.activations.group_size),
        activations,
        cells,
        config.fitting.batch_size,
        config.fitting.validation_images,
        spike_ins,
        mixed=experiment.has_base,
        held_gib=config.held_gib,
    )


def feed_of_fit(experiment: Experiment, fit: Fit) -> CellFeed:
    """What a decoder is fitted to; of a part of one, the activations that the whole reads."""
    if not fit.joint:
        return feed_for(experiment, fit)
    joint = joint_reader(experiment, fit)
    activations = JoinedActivations({run.key: open_activations(experiment, run) for run in joint.runs})
    return _feed(experiment, activations, joint.cells, None)


def new_decoder(experiment: Experiment, fit: Fit) -> Decoder:
    """A decoder with random weights; of a part of one, of its own cells only."""
    network, size = decoder_network(experiment, fit), experiment.decoder_size_for(fit)
    return decoder_of(experiment, network, size, unconditional=experiment.reads_nothing(fit))


def new_decoder_of_fit(experiment: Experiment, fit: Fit) -> Decoder:
    """The decoder that is fitted, with random weights: of a part, the whole with the cells of all runs."""
    if not fit.joint:
        return new_decoder(experiment, fit)
    network = replace(
        decoder_network(experiment, fit), cells=_cells_of_whole(experiment, fit, _shapes(experiment, fit))
    )
    return decoder_of(experiment, network, experiment.decoder_size_for(fit))


def _cells_of_whole(experiment: Experiment, fit: Fit, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Cell, ...]:
    """Those of the decoder that a part belongs to: all are cells of one layer, and share what reads it."""
    joint = joint_reader(experiment, fit)
    return tuple(Cell(cell_name(*cell), joint.layer, shapes[joint.layer]) for cell in joint.cells)


def decoder_of(
    experiment: Experiment,
    network: PixelCNNPPConfig,
    size: Architecture | ReaderArchitecture,
    unconditional: bool = False,
) -> Decoder:
    """A decoder with random weights; a reader stands on the experiment's base, and looks up what is kept of it.

    Arguments:
        network: images and cells, and the architecture of a decoder that is no reader.
        size: tells whether it is one.
        unconditional: whether a reader that reads nothing is fitted; without, it is the base.
    """
    if isinstance(size, Architecture):
        return PixelCNNPP(network)
    reader = Reader(load_base(experiment, torch.device("cpu")), size, network.cells, unconditional)
    reader.stored = stored_features(experiment)
    return reader


def load_decoder(experiment: Experiment, fit: Fit, device: torch.device) -> Decoder:
    """A fitted decoder, in evaluation mode."""
    decoder = new_decoder(experiment, fit)
    if fit.key == BASE:
        return decoder.to(device).eval()  # a reader without cells is its base, unless it is an unconditional one
    decoder.load_state_dict(_of_part(experiment, fit, load_tensors(decoder_artifact(experiment, fit).path)))
    return decoder.to(device).eval()


def _of_part(experiment: Experiment, fit: Fit, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of a whole decoder's weights those of a part; of one that is no part, all."""
    if not fit.joint:
        return weights
    known = _cells_of_whole(experiment, fit, _shapes(experiment, fit))
    return weights_of_cells(weights, known, [name_in_decoder(fit, cell) for cell in fit.cells])


def halfway_sha256(experiment: Experiment, fit: Fit) -> str | None:
    """See `ib_analysis.fits.artifact.halfway_sha256`."""
    return sha256_of_halfway(decoder_artifact(experiment, fit))


def load_halfway_weights(experiment: Experiment, fit: Fit) -> dict[str, Tensor] | None:
    """See `ib_analysis.fits.artifact.halfway_weights`; of a part of a decoder, its own."""
    weights = halfway_weights(decoder_artifact(experiment, fit))
    return None if weights is None else _of_part(experiment, fit, weights)


def start_path(experiment: Experiment, fit: Fit, name: str) -> Path:
    path = Path(experiment.config.checkpoints) / name / "decoders" / decoder_key(experiment, fit) / "decoder.pt"
    if not path.exists():
        raise UserError(f"start_from names {name!r}, but {path} does not exist; finish that experiment first.")
    return path
