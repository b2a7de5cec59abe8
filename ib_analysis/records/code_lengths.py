"""The small files of code lengths: one per decoder and cell."""

from __future__ import annotations

import numpy as np

from ib_analysis.artifacts import Artifact
from ib_analysis.experiment import Experiment, Fit
from ib_analysis.records.arrays import load_arrays
from ib_analysis.records.decoders import decoder_artifact, halfway_sha256, readings_of
from ib_analysis.records.images import measured_images

__all__ = [
    "NULL",
    "NULL_VALIDATION",
    "code_length_artifact",
    "code_length_artifacts",
    "code_length_bits",
    "halfway_code_length_bits",
]


NULL = "null"
"""Code lengths of the evaluation images under the null condition."""


NULL_VALIDATION = "null_validation"
"""The same of the validation slice, by which the common null is chosen."""


def code_length_artifact(experiment: Experiment, fit: Fit, what: str) -> Artifact:
    """One decoder's code lengths: ``what`` is a reading's name, `NULL` or `NULL_VALIDATION`."""
    path = experiment.folder / "code_lengths" / fit.key / f"{what.replace('/', '_')}.npz"
    inputs = {"data": measured_images(experiment).sha256, "decoder": decoder_artifact(experiment, fit).identity}
    if what != NULL_VALIDATION:
        # As an input and not as config: files of before, without the mean map, are measured again.
        inputs["content"] = "bits, mean_map_bits"
    halfway = halfway_sha256(experiment, fit)
    conditional = what not in (NULL, NULL_VALIDATION)
    if halfway is not None and (conditional or (what == NULL and experiment.reads_nothing(fit))):
        inputs["halfway decoder"] = halfway
    config = {"what": what, "group_size": experiment.config.activations.group_size}
    return Artifact(path, "code_lengths", config, inputs, fit.decoder_seed)


def code_length_artifacts(experiment: Experiment, fit: Fit) -> dict[str, Artifact]:
    names = [NULL_VALIDATION, NULL, *(reading.name for reading in readings_of(experiment, fit))]
    return {name: code_length_artifact(experiment, fit, name) for name in names}


def halfway_code_length_bits(experiment: Experiment, fit: Fit, what: str) -> np.ndarray | None:
    """Those of the same images when the decoder's fit ended halfway, shape (N,); None where it did not."""
    return load_arrays(code_length_artifact(experiment, fit, what)).get("halfway_bits")


def code_length_bits(experiment: Experiment, fit: Fit, what: str) -> np.ndarray:
    return load_arrays(code_length_artifact(experiment, fit, what))["bits"]
