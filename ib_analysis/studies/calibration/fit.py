"""Fit the decoders of a calibration and measure their code lengths, by the functions that serve an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from decoders import Decoder, PixelCNNPP
from ib_analysis.activations import Part
from ib_analysis.artifacts import sha256_of_plain
from ib_analysis.bases.files import rounded
from ib_analysis.engines.local import Progress, Unit
from ib_analysis.fits.artifact import fit_artifact, halfway_weights, write_weights
from ib_analysis.stages.measure import measure_code_lengths
from ib_analysis.studies.calibration.config import CalibrationConfig
from ib_analysis.studies.calibration.plan import Calibration, SourceFit

__all__ = ["base_units", "fit_units", "measure_units"]


def base_units(calibration: Calibration) -> list[Unit]:
    """One unit per base that is not complete; none where decoders are gated."""
    return _units(calibration, [fit for fit in calibration.fits if fit.role == "base"])


def fit_units(calibration: Calibration) -> list[Unit]:
    """One unit per decoder that is not complete; bases must be."""
    return _units(calibration, [fit for fit in calibration.fits if fit.role != "base"])


def _units(calibration: Calibration, fits: list[SourceFit]) -> list[Unit]:
    return [
        Unit(fit.key, _fit, (calibration.config, fit))
        for fit in fits
        if calibration.decoder_artifact(fit).status() != "complete"
    ]


def measure_units(calibration: Calibration) -> list[Unit]:
    """One unit per decoder that has not yet measured all its cells."""
    return [
        Unit(fit.key, _measure, (calibration.config, fit))
        for fit in calibration.fits
        if any(artifact.status() != "complete" for artifact in calibration.code_length_artifacts(fit).values())
    ]


def _fit(config: CalibrationConfig, fit: SourceFit, progress: Progress) -> None:
    calibration = Calibration(config)
    # What distinguishes decoders enters the seed, else all would see the same random numbers.
    seed = int(sha256_of_plain([fit.key, fit.decoder_seed])[:8], 16)
    fit_artifact(
        calibration.decoder_artifact(fit),
        lambda: calibration.new_decoder(fit),
        calibration.feed(fit),
        calibration.fitting(fit),
        seed,
        progress,
        write=_write_rounded if fit.role == "base" else write_weights,
    )


def _write_rounded(path: Path, base: Decoder) -> dict[str, Any]:
    """As an experiment's base, whose weights are rounded to float16 once and for all."""
    assert isinstance(base, PixelCNNPP)
    rounded(base)
    return write_weights(path, base)


def _measure(config: CalibrationConfig, fit: SourceFit, progress: Progress) -> None:
    """Code lengths, ``bits``, and beside those of a cell the information density of each image, ``information_bits``:
    the truth that belongs to them."""
    calibration = Calibration(config)
    decoder = calibration.decoder(fit).to("cuda" if torch.cuda.is_available() else "cpu")
    feed = calibration.feed(fit)
    outputs = calibration.outputs(fit.source)

    def truth(cell: tuple[int, str], part: Part) -> dict[str, np.ndarray]:
        densities = [outputs.information_bits(*cell, group) for group in outputs.groups.part(part)]
        return {"information_bits": np.concatenate(densities)}

    readings = {reading.name: reading for reading in feed.readings}
    artifacts, halfway = calibration.code_length_artifacts(fit), halfway_weights(calibration.decoder_artifact(fit))
    measure_code_lengths(decoder, feed, artifacts, readings, progress, beside=truth, halfway=halfway)
