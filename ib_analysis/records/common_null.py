"""The common L0: of all unconditional models at hand, the one with the best code length on the validation slice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from decoders.fitting.warnings import (
    TRAINING_TOO_SHORT_TO_TELL,
    VALIDATION_CODE_LENGTH_RISING,
    VALIDATION_CODE_LENGTH_ROSE,
)
from ib_analysis.artifacts import UserError
from ib_analysis.experiment import BASE, Experiment, Fit
from ib_analysis.hdf5 import read_hdf5
from ib_analysis.information.warnings import split_warnings
from ib_analysis.records.arrays import load_arrays
from ib_analysis.records.code_lengths import NULL, NULL_VALIDATION, code_length_artifact
from ib_analysis.records.decoders import decoder_artifact
from ib_analysis.records.images import measured_images

__all__ = ["CommonNull", "common_null", "common_null_source", "fit_doubts", "l0_in_words", "null_path"]


ABOUT_BASES = (TRAINING_TOO_SHORT_TO_TELL,)
"""What is no doubt about a base: its learning rate may fall from the first step on, which leaves no steady phase."""


@dataclass(frozen=True)
class CommonNull:
    """An unconditional model's code lengths.

    Arguments:
        source: the decoder's key (and, from elsewhere, the experiment).
        sha256: the decoder's hash.
        validation_bits: mean on the validation slice, by which it is chosen.
        bits: shape (N,), of the evaluation images.
        mean_map_bits: shape (C, H, W), the mean bits of each pixel and channel; None from elsewhere if not kept there.
        warnings: names of warnings about its fit: an L0 that is too long inflates every estimate.
        change_bits: mean(bits) minus what it was when the fit had ended at half of its steps; None where that is not
            known.
    """

    source: str
    sha256: str
    validation_bits: float
    bits: np.ndarray
    mean_map_bits: np.ndarray | None
    warnings: tuple[str, ...]
    change_bits: float | None = None


def common_null(experiment: Experiment) -> CommonNull:
    """The unconditional model with the best validation length: of this experiment, or of `null_from`.

    Raises:
        UserError: none of them gives finite code lengths.
    """
    candidates = [
        _own(experiment, fit)
        for fit in experiment.fits
        if fit.run is None or experiment.fitting.null_share > 0  # else its null condition was never fitted
    ]
    if experiment.config.estimation.null_from is not None:
        candidates.append(_null_from(experiment, experiment.config.estimation.null_from))
    finite = [null for null in candidates if np.isfinite(null.validation_bits) and np.isfinite(null.bits).all()]
    if not finite:
        raise UserError(
            f"No unconditional model of {experiment.folder} gives finite code lengths, so that there is no L0; lower "
            "fitting.learning_rate, or name another experiment by estimation.null_from."
        )
    return min(finite, key=lambda null: null.validation_bits)


def _own(experiment: Experiment, fit: Fit) -> CommonNull:
    decoder, measured = decoder_artifact(experiment, fit), code_length_artifact(experiment, fit, NULL)
    arrays, validation = load_arrays(measured), load_arrays(code_length_artifact(experiment, fit, NULL_VALIDATION))
    return CommonNull(
        fit.key,
        decoder.identity,
        float(validation["bits"].mean()),
        arrays["bits"],
        arrays["mean_map_bits"],
        fit_doubts(experiment, fit, decoder.record["null_warnings"]),
        float((arrays["bits"] - arrays["halfway_bits"]).mean()) if "halfway_bits" in arrays else None,
    )


def fit_doubts(experiment: Experiment, fit: Fit, found: list[str]) -> tuple[str, ...]:
    """What the fit of an unconditional model says against it.

    A reader without activations starts at the base, and its lowest point is kept: that it learned its images by heart
    afterwards is no more against it than that the base, with as few images, is no better. So it is a note, where there
    are notes: where fits end twice.
    """
    if fit.key == BASE:
        return tuple(name for name in found if name not in ABOUT_BASES)
    if not experiment.reads_nothing(fit):
        return tuple(found)
    rising = {VALIDATION_CODE_LENGTH_RISING, VALIDATION_CODE_LENGTH_ROSE}
    note = (VALIDATION_CODE_LENGTH_ROSE,) if experiment.fitting.halfway and rising & set(found) else ()
    return (*note, *(name for name in found if name not in ABOUT_BASES and name not in rising))


def null_path(experiment: Experiment, other: str) -> Path:
    """The code lengths of another experiment, whose common L0 may serve.

    Raises:
        UserError: they are not there.
    """
    path = Path(experiment.config.checkpoints) / other / "code_lengths.h5"
    if not path.exists():
        raise UserError(f"estimation.null_from names {other!r}, but {path} does not exist; finish it first.")
    return path


def _null_from(experiment: Experiment, other: str) -> CommonNull:
    with read_hdf5(null_path(experiment, other)) as file:
        if file.attrs["data_sha256"] != measured_images(experiment).sha256:
            raise UserError(
                f"estimation.null_from names {other!r}, which was measured on other images (or other splits of "
                "them); a null model can only serve for the data it was measured on."
            )
        return CommonNull(
            f"{other}/{file.attrs['null_source']}",
            str(file.attrs["null_sha256"]),
            float(file.attrs["null_validation_bits"]),
            file["null"][:],
            file["maps/null"][()] if "maps/null" in file else None,
            split_warnings(str(file.attrs["null_warnings"])),
            float(file.attrs["null_change_bits"]) if "null_change_bits" in file.attrs else None,
        )


def l0_in_words(experiment: Experiment) -> str:
    """The common L0 of a collated experiment: its length, whose it is, and how far it still moved, in a sentence."""
    with read_hdf5(experiment.folder / "code_lengths.h5") as file:
        source, bits = str(file.attrs["null_source"]), float(file["null"][:].mean())
        base = float(file[f"{BASE}/own_null"][:].mean()) if f"{BASE}/own_null" in file and source != BASE else None
        change = file.attrs.get("null_change_bits")
    told = [f"L0: {bits:,.2f} bits, of {source}"]
    told += [f"the base alone has {base:,.2f}"] if base is not None else []
    told += [f"from half of its steps to all it changed by {change:+.2f}"] if change is not None else []
    return "; ".join(told) + "."


def common_null_source(experiment: Experiment) -> str:
    """Key of the decoder whose null condition is the common L0."""
    with read_hdf5(experiment.folder / "code_lengths.h5") as file:
        return str(file.attrs["null_source"])
