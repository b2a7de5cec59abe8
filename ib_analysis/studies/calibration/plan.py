"""The calibration as a plan: its sources, cells and decoders, and where each artifact lies."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path

import torch

from decoders import Cell as DecoderCell
from decoders import ImageSpace, PixelCNNPPConfig
from decoders.config import Architecture
from decoders.fitting.fit import FittingConfig
from ib_analysis.activations import groups_of
from ib_analysis.artifacts import Artifact, UserError, settings_of, sha256_of_plain
from ib_analysis.data import ImageData
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
    """One decoder: for all channels of a source.

    Arguments:
        source: the images.
        decoder_seed: of the decoder.
        full: whether it is one of those that need a GPU.
    """

    source: Source
    decoder_seed: int
    full: bool

    @property
    def key(self) -> str:
        return f"{self.source.name}_decoder{self.decoder_seed}"


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
        return tuple(SourceFit(source, seed, full) for source, full in sources for seed in config.decoder_seeds)

    def cells(self, source: Source) -> tuple[Cell, ...]:
        """The channels that a source's symbols are sent through."""
        parameters = {"erasure": self.config.erasure_rates, "flip": self.config.flip_probabilities}
        return tuple((round(1000 * value), kind) for kind in source.kinds for value in parameters[kind])

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
            images_in_order(data), outputs.groups, outputs, self.cells(fit.source), fitting.batch_size,
            fitting.validation_images,
        )  # fmt: skip

    def network(self, fit: SourceFit) -> PixelCNNPPConfig:
        """The decoder's architecture, images and cells."""
        data, outputs = self.images(fit.source), self.outputs(fit.source)
        cells = tuple(DecoderCell(name_of(cell), cell[1], outputs.shape(cell[1])) for cell in self.cells(fit.source))
        return PixelCNNPPConfig(ImageSpace(*data.image_shape, data.intensities), self.architecture(fit), cells)

    def architecture(self, fit: SourceFit) -> Architecture:
        return self.config.full_decoder if fit.full else self.config.decoder

    def fitting(self, fit: SourceFit) -> FittingConfig:
        return self.config.full_fitting if fit.full else self.config.fitting

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
        config = {
            "decoder": self.architecture(fit),
            "fitting": self.fitting(fit),
            "source": {"name": fit.source.name, **settings_of(fit.source)},
            "splits": self.config.splits,
            "seed": self.config.seed,
            "group_size": self.config.group_size,
            "cells": [name_of(cell) for cell in self.cells(fit.source)],
        }
        path = self.folder / "decoders" / fit.key / "decoder.pt"
        inputs = {"data": self.sha256(fit.source)}
        return Artifact(path, "calibration_decoder", config, inputs, fit.decoder_seed, algorithm="decoder")

    def code_length_artifact(self, fit: SourceFit, what: str) -> Artifact:
        """One decoder's code lengths: ``what`` is a cell's name, `NULL` or `NULL_VALIDATION`."""
        path = self.folder / "code_lengths" / fit.key / f"{what.replace('/', '_')}.npz"
        inputs = {"data": self.sha256(fit.source), "decoder": self.decoder_artifact(fit).identity}
        return Artifact(
            path, "calibration_code_lengths", {"what": what}, inputs, fit.decoder_seed, algorithm="code_lengths"
        )  # fmt: skip

    def table_artifact(self) -> Artifact:
        """The record of the table."""
        inputs = {
            f"{fit.key}/{what}": self.code_length_artifact(fit, what).identity
            for fit in self.fits
            for what in (NULL, NULL_VALIDATION, *(name_of(cell) for cell in self.cells(fit.source)))
        }
        # As an input and not as config: with other intervals the table is made again, which costs nothing.
        inputs["intervals"] = sha256_of_plain([self.config.confidence, self.config.resamples])
        return Artifact(self.table, "calibration_table", {"name": self.config.name}, inputs, algorithm="tables")
