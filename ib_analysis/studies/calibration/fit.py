"""Fit the decoders of a calibration and measure their code lengths, by the functions that serve an experiment."""

from __future__ import annotations

import numpy as np
import torch

from decoders import PixelCNNPP
from ib_analysis.activations import Part
from ib_analysis.artifacts import Artifact, load_tensors, sha256_of_plain
from ib_analysis.engines.local import Progress, Unit
from ib_analysis.fits.artifact import fit_artifact
from ib_analysis.fits.feed import name_of
from ib_analysis.stages.measure import measure_code_lengths
from ib_analysis.studies.calibration.config import CalibrationConfig
from ib_analysis.studies.calibration.plan import NULL, NULL_VALIDATION, Calibration, SourceFit

__all__ = ["fit_units", "measure_units"]


def fit_units(calibration: Calibration) -> list[Unit]:
    """One unit per decoder that is not complete."""
    return [
        Unit(fit.key, _fit, (calibration.config, fit))
        for fit in calibration.fits
        if calibration.decoder_artifact(fit).status() != "complete"
    ]


def measure_units(calibration: Calibration) -> list[Unit]:
    """One unit per decoder that has not yet measured all its cells."""
    return [
        Unit(fit.key, _measure, (calibration.config, fit))
        for fit in calibration.fits
        if any(artifact.status() != "complete" for artifact in _artifacts(calibration, fit).values())
    ]


def _fit(config: CalibrationConfig, fit: SourceFit, progress: Progress) -> None:
    calibration = Calibration(config)
    # What distinguishes decoders enters the seed, else all would see the same random numbers.
    seed = int(sha256_of_plain([fit.key, fit.decoder_seed])[:8], 16)
    fit_artifact(
        calibration.decoder_artifact(fit),
        lambda: PixelCNNPP(calibration.network(fit)),
        calibration.feed(fit),
        calibration.fitting(fit),
        seed,
        progress,
    )


def _artifacts(calibration: Calibration, fit: SourceFit) -> dict[str, Artifact]:
    names = [NULL_VALIDATION, NULL, *(name_of(cell) for cell in calibration.cells(fit.source))]
    return {name: calibration.code_length_artifact(fit, name) for name in names}


def _measure(config: CalibrationConfig, fit: SourceFit, progress: Progress) -> None:
    """Code lengths, ``bits``, and beside those of a cell the information density of each image, ``information_bits``:
    the truth that belongs to them."""
    calibration = Calibration(config)
    decoder = PixelCNNPP(calibration.network(fit))
    decoder.load_state_dict(load_tensors(calibration.decoder_artifact(fit).path))
    decoder.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    feed = calibration.feed(fit)
    outputs = calibration.outputs(fit.source)

    def truth(cell: tuple[int, str], part: Part) -> dict[str, np.ndarray]:
        densities = [outputs.information_bits(*cell, group) for group in outputs.groups.part(part)]
        return {"information_bits": np.concatenate(densities)}

    readings = {reading.name: reading for reading in feed.readings}
    measure_code_lengths(decoder, feed, _artifacts(calibration, fit), readings, progress, beside=truth)
