"""Fit decoders: one per run (shared), or one per cell and one unconditional (dedicated)."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from decoders import Cell, ImageSpace, PixelCNNPP, PixelCNNPPConfig, fit
from ib_analysis.activations import groups_of
from ib_analysis.artifacts import (
    Artifact,
    UserError,
    load_tensors,
    save_tensors,
    sha256_of_plain,
    write_text,
)
from ib_analysis.encoders import tap_shapes
from ib_analysis.experiment import Experiment, ExperimentConfig, Fit, Run, cell_name
from ib_analysis.stages.context import data_section, encoder_identities, images_of, new_encoder
from ib_analysis.stages.dump import open_activations
from ib_analysis.stages.feed import CellFeed, images_in_order
from ib_analysis.stages.launch import Launch
from ib_analysis.stages.workers import Progress, Unit

__all__ = ["decoder_artifact", "feed_for", "fit_units", "layer_shapes", "load_decoder"]


def decoder_artifact(experiment: Experiment, fit: Fit) -> Artifact:
    """The record of a fitted decoder."""
    config = {
        **experiment.section("decoder", "fitting", "start_from"),
        "group_size": experiment.config.activations.group_size,
        "cells": [cell_name(*cell) for cell in fit.cells],
        "data": data_section(experiment),
    }
    inputs = {"data": images_of(experiment).sha256}
    if fit.run is not None:
        epochs = {epoch for epoch, _ in fit.cells}
        identities = encoder_identities(experiment, fit.run)
        inputs |= {f"encoder at epoch {epoch}": identities[epoch] for epoch in sorted(epochs)}
    path = experiment.decoder_folder(fit) / "decoder.pt"
    return Artifact(path, "decoder", config, inputs, fit.decoder_seed)


def fit_units(experiment: Experiment) -> list[Unit]:
    """One unit per decoder that is not complete."""
    return [
        Unit(fit.key, _fit, (experiment.config, fit))
        for fit in experiment.fits
        if decoder_artifact(experiment, fit).status() != "complete"
    ]


def load_decoder(experiment: Experiment, fit: Fit, device: torch.device) -> PixelCNNPP:
    """A fitted decoder, in evaluation mode."""
    decoder = PixelCNNPP(_network(experiment, fit))
    decoder.load_state_dict(load_tensors(decoder_artifact(experiment, fit).path))
    return decoder.to(device).eval()


def _fit(config: ExperimentConfig, unit: Fit, progress: Progress) -> None:
    experiment = Experiment(config)
    artifact = decoder_artifact(experiment, unit)
    main = Launch().is_main
    if main:
        artifact.begin()
    # What distinguishes decoders of one experiment enters the seed, else all would see the same random numbers.
    seed = int(sha256_of_plain([unit.key, unit.decoder_seed])[:8], 16)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = PixelCNNPP(_network(experiment, unit))
    feed = feed_for(experiment, unit)
    for name, (mean, deviation) in feed.channel_statistics().items():
        decoder.standardise(name, mean, deviation)
    started = _start_from(experiment, unit, decoder)
    unfinished = _Unfinished(artifact.path.with_name("resume.pt"), sha256_of_plain(artifact.recipe))
    record = fit(
        decoder,
        feed,
        config.fitting,
        seed=seed,
        checkpoint=unfinished,
        progress=progress,
        initialise=not started,
    )
    if not main:
        return
    points = [{**dataclasses.asdict(point), **point.cell_bits} for point in record.curve]
    for point in points:
        del point["cell_bits"]
    write_text(artifact.path.with_name("curve.csv"), _csv(points))
    save_tensors(artifact.path, {name: tensor.cpu() for name, tensor in decoder.state_dict().items()})
    facts = dataclasses.asdict(record)
    facts.pop("curve")
    artifact.finish(**facts)
    unfinished.path.unlink(missing_ok=True)


def _network(experiment: Experiment, fit: Fit) -> PixelCNNPPConfig:
    data = images_of(experiment)
    image = ImageSpace(*data.image_shape, data.intensities)
    cells: tuple[Cell, ...] = ()
    if fit.run is not None:
        shapes = layer_shapes(experiment, fit.run)
        cells = tuple(Cell(cell_name(epoch, layer), layer, shapes[layer]) for epoch, layer in fit.cells)
    return PixelCNNPPConfig(image, experiment.config.decoder, cells)


def layer_shapes(experiment: Experiment, run: Run) -> dict[str, tuple[int, ...]]:
    """Shapes of one image's activations by layer."""
    return tap_shapes(new_encoder(experiment, run), images_of(experiment).image_shape)


def feed_for(experiment: Experiment, fit: Fit) -> CellFeed:
    """The images, and the activations of the cells that a decoder is conditioned on."""
    config, data = experiment.config, images_of(experiment)
    return CellFeed(
        images_in_order(data),
        groups_of(data, config.activations.group_size),
        open_activations(experiment, fit.run) if fit.run is not None else None,
        fit.cells,
        config.fitting.batch_size,
        config.fitting.validation_images,
    )


def _start_from(experiment: Experiment, fit: Fit, decoder: PixelCNNPP) -> bool:
    """Take over the weights of another experiment's decoder of the same name; whether there was one to take over.

    Raises:
        UserError: the other experiment has no such decoder, or one of another shape.
    """
    name = experiment.config.start_from
    if name is None:
        return False
    path = Path(experiment.config.checkpoints) / name / "decoders" / fit.key / "decoder.pt"
    if not path.exists():
        raise UserError(f"start_from names {name!r}, but {path} does not exist; finish that experiment first.")
    own = decoder.state_dict()
    found = load_tensors(path)
    differing = [key for key in own if key not in found or own[key].shape != found[key].shape]
    if differing:
        raise UserError(
            f"start_from: {path} is a decoder of another shape ({len(differing)} of {len(own)} tensors differ, first "
            f"{differing[0]}); use the same decoder settings, layers and checkpoint epochs."
        )
    # The standardisation belongs to this experiment's activations.
    kept = {key: own[key] for key in own if key.endswith((".mean", ".inverse_deviation"))}
    decoder.load_state_dict({**{key: found[key] for key in own}, **kept})
    return True


class _Unfinished:
    """Keeps the state of an interrupted fit, atomically, and only hands it to a fit of the same recipe."""

    def __init__(self, path: Path, recipe: str) -> None:
        self.path, self.recipe = path, recipe

    def load(self) -> dict[str, Any] | None:
        if not self.path.exists():
            return None
        try:
            found = load_tensors(self.path)
        except UserError:
            return None  # a damaged part is no loss: the fit starts anew
        return found["state"] if found.get("recipe") == self.recipe else None

    def save(self, state: Mapping[str, Any]) -> None:
        save_tensors(self.path, {"recipe": self.recipe, "state": dict(state)})


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
