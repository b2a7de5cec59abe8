"""Decoders fitted beside those of a finished experiment: what studies about the instrument have in common.

A study names the decoders that it needs; each is fitted and measured by the functions that serve the experiment itself,
as units that can be interrupted and go on. Their artifacts lie in ``checkpoints/<experiment>/studies/<study>/``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from decoders import Cell, Decoder, ImageSpace, PixelCNNPPConfig
from decoders.config import Architecture, ReaderArchitecture
from decoders.fitting.fit import FittingConfig
from decoders.transfer import take_weights
from ib_analysis.activations import groups_of
from ib_analysis.artifacts import Artifact, UserError, load_tensors, settings_of, sha256_of_plain
from ib_analysis.engines.choose import engine_for
from ib_analysis.engines.local import Progress, Unit, clear_remains, exclusive
from ib_analysis.experiment import Experiment, ExperimentConfig, Fit, Run, cell_name
from ib_analysis.fits.artifact import fit_artifact
from ib_analysis.fits.feed import CellFeed, images_in_order
from ib_analysis.records.arrays import load_arrays
from ib_analysis.records.bases import base_artifact
from ib_analysis.records.code_lengths import NULL, NULL_VALIDATION
from ib_analysis.records.decoders import decoder_artifact, decoder_of, load_decoder
from ib_analysis.records.encoders import encoder_identities
from ib_analysis.records.images import data_section, images_of
from ib_analysis.stages.measure import measure_code_lengths
from ib_analysis.studies.conditions import conditions_of

__all__ = ["ExtraFit", "ExtraFits"]


@dataclass(frozen=True)
class ExtraFit:
    """One decoder of a study.

    Arguments:
        key: its name in the study.
        run: the encoder whose layers it is conditioned on; None for an unconditional decoder.
        cells: (epoch, layer) of every cell; empty for an unconditional decoder.
        architecture: its size; a reader's stands on the experiment's base.
        fitting: how it is fitted.
        decoder_seed: its seed.
        condition: name of what it sees of the cells (see `ib_analysis.studies.conditions`).
        start: the decoder whose weights it starts from: one of the experiment's, or another of the study, which is
            then fitted first; None starts anew. See `decoders.transfer.take_weights` for what becomes of cells.
        seed: of its weights and of everything random in its fit, where another fit's random numbers are to be its own;
            None: numbers that no other decoder has, by study, key and ``decoder_seed``.
    """

    key: str
    run: Run | None
    cells: tuple[tuple[int, str], ...]
    architecture: Architecture | ReaderArchitecture
    fitting: FittingConfig
    decoder_seed: int = 0
    condition: str = "activations"
    start: Fit | ExtraFit | None = None
    seed: int | None = None

    @property
    def is_reader(self) -> bool:
        """Whether it adds to the experiment's base."""
        return isinstance(self.architecture, ReaderArchitecture)

    @property
    def wave(self) -> int:
        """How many decoders of the study have to be fitted before this one, one after the other."""
        return self.start.wave + 1 if isinstance(self.start, ExtraFit) else 0


class ExtraFits:
    """The decoders of one study of one experiment.

    Arguments:
        experiment: whose images, encoders and activations are used; they must be there already.
        study: names the folder.
        fits: the decoders, the costliest first, so that processes end together.

    Raises:
        UserError: the experiment has spike-ins: its own decoders were fitted to other images than a study's.
    """

    def __init__(self, experiment: Experiment, study: str, fits: Sequence[ExtraFit]) -> None:
        if experiment.config.spike_in:
            raise UserError(
                f"{experiment.config.name} has spike-ins, so that its decoders were fitted to overwritten images; run "
                f"`ib {study}` on the same experiment without them (--spike_in 0)."
            )
        self.experiment, self.study, self.fits = experiment, study, tuple(fits)
        self.folder = experiment.folder / "studies" / study

    def run(self) -> None:
        """Fit and measure whatever is missing.

        Raises:
            UserError: another process is at work on this study, another config made its artifacts, the disk is full.
        """
        with exclusive(self.folder / ".lock", str(self.folder)):
            clear_remains(self.folder)
            with engine_for(self.experiment, folder=self.folder) as engine:
                for wave in sorted({fit.wave for fit in self.fits}):
                    due = [fit for fit in self.fits if fit.wave == wave and not self._fitted(fit)]
                    engine.run("fit", self._units(_fit, due))
                engine.run("measure", self._units(_measure, [fit for fit in self.fits if not self._measured(fit)]))

    def code_lengths(self, fit: ExtraFit, what: str) -> np.ndarray:
        """L of every evaluation image in bits, shape (N,).

        Arguments:
            what: a cell's name, `NULL`, or `NULL_VALIDATION` (then of the validation images).
        """
        return load_arrays(self.code_length_artifact(fit, what))["bits"]

    def record(self, fit: ExtraFit) -> dict[str, Any]:
        """The manifest of a finished fit: steps done, seconds, warnings."""
        return self.decoder_artifact(fit).record

    # ------------------------------------------------------------------ artifacts

    def decoder_artifact(self, fit: ExtraFit) -> Artifact:
        """The record of a fitted decoder."""
        config = {
            "reader_network" if fit.is_reader else "decoder": fit.architecture,
            "fitting": fit.fitting,
            "condition": fit.condition,
            "group_size": self.experiment.config.activations.group_size,
            **(self.experiment.storage if fit.cells else {}),
            "cells": [cell_name(*cell) for cell in fit.cells],
            "data": data_section(self.experiment),
        }
        inputs = {"data": images_of(self.experiment).sha256}
        if fit.is_reader:
            config |= settings_of(self.experiment.config, "held_gib")
            inputs["base"] = base_artifact(self.experiment).identity
        if fit.run is not None:
            identities = encoder_identities(self.experiment, fit.run)
            inputs |= {f"encoder at epoch {epoch}": identities[epoch] for epoch in sorted({e for e, _ in fit.cells})}
        if fit.seed is not None:  # only then, here and below: decoders without keep their recipe
            config["fit_seed"] = fit.seed
        if fit.start is not None:
            config["start"] = fit.start.key
            inputs["start"] = (
                self.decoder_artifact(fit.start).identity
                if isinstance(fit.start, ExtraFit)
                else decoder_artifact(self.experiment, fit.start).identity
            )
        path = self.folder / "decoders" / fit.key / "decoder.pt"
        return Artifact(
            path, "study_decoder", config, inputs, fit.decoder_seed, "reader" if fit.is_reader else "decoder"
        )

    def code_length_artifact(self, fit: ExtraFit, what: str) -> Artifact:
        """The record of one decoder's code lengths: ``what`` is a cell's name, `NULL` or `NULL_VALIDATION`."""
        path = self.folder / "code_lengths" / fit.key / f"{what.replace('/', '_')}.npz"
        inputs = {"data": images_of(self.experiment).sha256, "decoder": self.decoder_artifact(fit).identity}
        return Artifact(
            path, "study_code_lengths", {"what": what}, inputs, fit.decoder_seed, algorithm="code_lengths"
        )  # fmt: skip

    def code_length_artifacts(self, fit: ExtraFit) -> dict[str, Artifact]:
        """All that are measured of one decoder, by name."""
        names = [NULL_VALIDATION, NULL, *(cell_name(*cell) for cell in fit.cells)]
        return {name: self.code_length_artifact(fit, name) for name in names}

    def network(self, fit: ExtraFit) -> PixelCNNPPConfig:
        """The decoder's architecture (a reader's: that of its base), images and cells."""
        data = images_of(self.experiment)
        cells: tuple[Cell, ...] = ()
        if fit.run is not None:
            activations = conditions_of(self.experiment, fit.run, fit.condition)
            cells = tuple(Cell(cell_name(*cell), cell[1], activations.shape(cell[1])) for cell in fit.cells)
        size = fit.architecture
        architecture = size if isinstance(size, Architecture) else self.experiment.config.base_network
        return PixelCNNPPConfig(ImageSpace(*data.image_shape, data.intensities), architecture, cells)

    def feed(self, fit: ExtraFit) -> CellFeed:
        """The decoder's minibatches, as in the experiment."""
        data = images_of(self.experiment)
        return CellFeed(
            images_in_order(data),
            groups_of(data, self.experiment.config.activations.group_size),
            conditions_of(self.experiment, fit.run, fit.condition) if fit.run is not None else None,
            fit.cells,
            fit.fitting.batch_size,
            fit.fitting.validation_images,
            mixed=fit.is_reader,
            held_gib=self.experiment.config.held_gib,
        )

    def new_decoder(self, fit: ExtraFit) -> Decoder:
        """A decoder with random weights, on the CPU."""
        return decoder_of(self.experiment, self.network(fit), fit.architecture)

    def decoder(self, fit: ExtraFit) -> Decoder:
        """A fitted decoder, on the CPU."""
        decoder = self.new_decoder(fit)
        decoder.load_state_dict(load_tensors(self.decoder_artifact(fit).path))
        return decoder

    def start(self, fit: ExtraFit, decoder: Decoder) -> bool:
        """Give a decoder the weights that its fit starts from; whether there are any."""
        if fit.start is None:
            return False
        source: Decoder
        if isinstance(fit.start, ExtraFit):
            source = self.decoder(fit.start)
        else:
            source = load_decoder(self.experiment, fit.start, torch.device("cpu"))
        take_weights(decoder, source)
        return True

    # ------------------------------------------------------------------ units

    def _fitted(self, fit: ExtraFit) -> bool:
        return self.decoder_artifact(fit).status() == "complete"

    def _measured(self, fit: ExtraFit) -> bool:
        return all(item.status() == "complete" for item in self.code_length_artifacts(fit).values())

    def _units(self, function: Any, fits: Sequence[ExtraFit]) -> list[Unit]:
        return [Unit(f"{self.study}/{fit.key}", function, (self.experiment.config, self.study, fit)) for fit in fits]


def _fit(config: ExperimentConfig, study: str, fit: ExtraFit, progress: Progress) -> None:
    extra = ExtraFits(Experiment(config), study, (fit,))
    # What distinguishes decoders enters the seed, else all would see the same random numbers.
    own = int(sha256_of_plain([study, fit.key, fit.decoder_seed])[:8], 16)
    seed = own if fit.seed is None else fit.seed
    fit_artifact(
        extra.decoder_artifact(fit),
        lambda: extra.new_decoder(fit),
        extra.feed(fit),
        fit.fitting,
        seed,
        progress,
        start=lambda decoder: extra.start(fit, decoder),
    )


def _measure(config: ExperimentConfig, study: str, fit: ExtraFit, progress: Progress) -> None:
    extra = ExtraFits(Experiment(config), study, (fit,))
    decoder = extra.decoder(fit).to("cuda" if torch.cuda.is_available() else "cpu").eval()
    feed = extra.feed(fit)
    readings = {reading.name: reading for reading in feed.readings}
    measure_code_lengths(decoder, feed, extra.code_length_artifacts(fit), readings, progress)
