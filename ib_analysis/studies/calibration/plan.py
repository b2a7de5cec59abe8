"""The calibration as a plan: its sources, cells and decoders, and where each artifact lies."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Literal

import torch

from decoders import Cell as DecoderCell
from decoders import Decoder, ImageSpace, PixelCNNPP, PixelCNNPPConfig, Reader
from decoders.config import Architecture
from decoders.fitting.fit import FittingConfig
from ib_analysis.activations import groups_of
from ib_analysis.artifacts import Artifact, UserError, load_tensors, settings_of, sha256_of_plain
from ib_analysis.data import ImageData
from ib_analysis.fits.artifact import halfway_sha256
from ib_analysis.fits.feed import CellFeed, images_in_order, name_of
from ib_analysis.studies.calibration.config import CalibrationConfig
from ib_analysis.studies.calibration.outputs import Cell, ChannelOutputs
from ib_analysis.studies.calibration.sources import CoinImages, FactorImages, Source, SplitSizes, symbols_in_order

__all__ = ["NULL", "NULL_VALIDATION", "Calibration", "SourceFit"]

NULL = "null"
"""Code lengths of the evaluation images under the null condition."""
NULL_VALIDATION = "null_validation"
"""The same of the validation images, by which the common null is chosen."""


@dataclass(frozen=True)
class SourceFit:
    """One decoder: for all channels of a source, a reader for those of one kind, or a base for none.

    Arguments:
        source: the images.
        decoder_seed: of the decoder.
        full: whether it is one of those that need a GPU.
        role: what it is; readers need their source's base.
        kind: name of a reader's channels.
    """

    source: Source
    decoder_seed: int
    full: bool
    role: Literal["gated", "base", "reader"] = "gated"
    kind: str | None = None

    @property
    def key(self) -> str:
        if self.role == "base":
            return f"{self.source.name}_base"
        name = self.source.name if self.kind is None else f"{self.source.name}_{self.kind}"
        return f"{name}_decoder{self.decoder_seed}"


@lru_cache(maxsize=1)
def _load(source: Source, sizes: SplitSizes, seed: int) -> ImageData:
    return source.load(sizes, seed)


@cache
def _sha256(source: Source, sizes: SplitSizes, seed: int) -> str:
    return _load(source, sizes, seed).sha256


class Calibration:
    """The config with everything that follows from it.

    Raises:
        UserError: a number of coins that makes no grid.
    """

    def __init__(self, config: CalibrationConfig) -> None:
        self.config = config
        self.folder = Path(config.checkpoints) / config.name
        self.figures = Path(config.figures) / config.name
        self.table = self.folder / "calibration.csv"

    @cached_property
    def fits(self) -> tuple[SourceFit, ...]:
        """Every decoder, the costliest first, so that processes end together."""
        config = self.config
        sources: list[tuple[Source, bool]] = []
        try:
            numbers = [(coins, False) for coins in config.coins]
            numbers += [(coins, True) for coins in config.full_coins] if config.full else []
            for coins, full in numbers:
                sources.append((CoinImages(coins, config.noise_bits, config.least_side), full))
        except ValueError as error:
            raise UserError(str(error)) from error
        if config.factors:
            sources.append((FactorImages(config.factor_images), False))
        sources.sort(key=lambda item: -item[0].h_x_bits)
        if config.reader == "gated":
            return tuple(SourceFit(source, seed, full) for source, full in sources for seed in config.decoder_seeds)
        found = [self._base(source, full) for source, full in sources]
        for source, full in sources:
            kinds = dict.fromkeys(kind for _, kind in self.cells(source))
            found += [SourceFit(source, seed, full, "reader", kind) for kind in kinds for seed in config.decoder_seeds]
        return tuple(found)

    def _base(self, source: Source, full: bool) -> SourceFit:
        return SourceFit(source, self.config.decoder_seeds[0], full, "base")

    def cells(self, source: Source) -> tuple[Cell, ...]:
        """The channels that a source's symbols are sent through."""
        parameters = {"erasure": self.config.erasure_rates, "flip": self.config.flip_probabilities}
        return tuple((round(1000 * value), kind) for kind in source.kinds for value in parameters[kind])

    def cells_of(self, fit: SourceFit) -> tuple[Cell, ...]:
        """Those of them that a decoder is conditioned on."""
        if fit.role == "base":
            return ()
        return tuple(cell for cell in self.cells(fit.source) if fit.kind in (None, cell[1]))

    def null_fits(self, fit: SourceFit) -> tuple[SourceFit, ...]:
        """What may give L0 of a decoder's source: its base, or the null conditions of its gated decoders."""
        if fit.role == "gated":
            return tuple(other for other in self.fits if other.source == fit.source)
        return (self._base(fit.source, fit.full),)

    def images(self, source: Source) -> ImageData:
        """A source's images; those of one source at a time are kept per process."""
        return _load(source, self.config.splits, self.config.seed)

    def sha256(self, source: Source) -> str:
        """Hash of a source's images."""
        return _sha256(source, self.config.splits, self.config.seed)

    def outputs(self, source: Source) -> ChannelOutputs:
        """What the channels make of a source's symbols."""
        data = self.images(source)
        groups = groups_of(data, self.config.group_size)
        seed = int(sha256_of_plain([source.name, self.config.seed])[:8], 16)
        return ChannelOutputs(symbols_in_order(data), source.levels, self.cells(source), groups, seed)

    def feed(self, fit: SourceFit) -> CellFeed:
        """The minibatches of a decoder, as in an experiment."""
        data, outputs, fitting = self.images(fit.source), self.outputs(fit.source), self.fitting(fit)
        return CellFeed(
            images_in_order(data), outputs.groups, None if fit.role == "base" else outputs, self.cells_of(fit),
            fitting.batch_size, fitting.validation_images, mixed=fit.role == "reader",
        )  # fmt: skip

    def network(self, fit: SourceFit) -> PixelCNNPPConfig:
        """The decoder's architecture (a reader's: that of its base), images and cells."""
        data, outputs = self.images(fit.source), self.outputs(fit.source)
        cells = tuple(DecoderCell(name_of(cell), cell[1], outputs.shape(cell[1])) for cell in self.cells_of(fit))
        return PixelCNNPPConfig(ImageSpace(*data.image_shape, data.intensities), self.architecture(fit), cells)

    def new_decoder(self, fit: SourceFit) -> Decoder:
        """A decoder with random weights, on the CPU; a reader's base must be fitted."""
        network = self.network(fit)
        if fit.role != "reader":
            return PixelCNNPP(network)
        base = self.decoder(self._base(fit.source, fit.full))
        assert isinstance(base, PixelCNNPP)
        return Reader(base, self.config.reader_network, network.cells)

    def decoder(self, fit: SourceFit) -> Decoder:
        """A fitted decoder in evaluation mode, on the CPU."""
        decoder = self.new_decoder(fit)
        decoder.load_state_dict(load_tensors(self.decoder_artifact(fit).path))
        return decoder.eval()

    def architecture(self, fit: SourceFit) -> Architecture:
        if fit.role != "gated":
            return self.config.base_network
        return self.config.full_decoder if fit.full else self.config.decoder

    def fitting(self, fit: SourceFit) -> FittingConfig:
        """How a decoder is fitted. No share of a reader's images sees the null condition: that is the base already."""
        if fit.role == "base":
            return self.config.base_fitting
        fitting = self.config.full_fitting if fit.full else self.config.fitting
        return replace(fitting, null_share=0.0) if fit.role == "reader" else fitting

    @property
    def workers(self) -> int:
        """Processes to use (see `CalibrationConfig.workers`)."""
        if self.config.workers:
            return self.config.workers
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
        return 1 if torch.cuda.is_available() else max(1, cores // self.config.threads)

    # ------------------------------------------------------------------ artifacts

    def decoder_artifact(self, fit: SourceFit) -> Artifact:
        """The record of a fitted decoder."""
        size = (
            {"reader_network": self.config.reader_network}
            if fit.role == "reader"
            else {"decoder": self.architecture(fit)}
        )
        config = {
            **size,
            "fitting": self.fitting(fit),
            "source": {"name": fit.source.name, **settings_of(fit.source)},
            "splits": self.config.splits,
            "seed": self.config.seed,
            "group_size": self.config.group_size,
            "cells": [name_of(cell) for cell in self.cells_of(fit)],
        }
        path = self.folder / "decoders" / fit.key / "decoder.pt"
        inputs = {"data": self.sha256(fit.source)}
        if fit.role == "reader":
            inputs["base"] = self.decoder_artifact(self._base(fit.source, fit.full)).identity
        return Artifact(
            path, "calibration_decoder", config, inputs, fit.decoder_seed,
            "base" if fit.role == "base" else "reader" if fit.role == "reader" else "decoder",
        )  # fmt: skip

    def code_length_artifact(self, fit: SourceFit, what: str) -> Artifact:
        """One decoder's code lengths: ``what`` is a cell's name, `NULL` or `NULL_VALIDATION`."""
        path = self.folder / "code_lengths" / fit.key / f"{what.replace('/', '_')}.npz"
        decoder = self.decoder_artifact(fit)
        inputs = {"data": self.sha256(fit.source), "decoder": decoder.identity}
        halfway = halfway_sha256(decoder)
        if halfway is not None and what not in (NULL, NULL_VALIDATION):
            inputs["halfway decoder"] = halfway
        return Artifact(
            path, "calibration_code_lengths", {"what": what}, inputs, fit.decoder_seed, algorithm="code_lengths"
        )  # fmt: skip

    def code_length_artifacts(self, fit: SourceFit) -> dict[str, Artifact]:
        """All that are measured of one decoder, by name; under no condition a reader is its base."""
        nulls = [] if fit.role == "reader" else [NULL_VALIDATION, NULL]
        names = [*nulls, *(name_of(cell) for cell in self.cells_of(fit))]
        return {name: self.code_length_artifact(fit, name) for name in names}

    def table_artifact(self) -> Artifact:
        """The record of the table."""
        inputs = {
            f"{fit.key}/{what}": artifact.identity
            for fit in self.fits
            for what, artifact in self.code_length_artifacts(fit).items()
        }
        # As an input and not as config: with other intervals the table is made again, which costs nothing.
        inputs["intervals"] = sha256_of_plain([self.config.confidence, self.config.resamples])
        return Artifact(self.table, "calibration_table", {"name": self.config.name}, inputs, algorithm="tables")
