"""Measure: code lengths of the evaluation images under every decoder, and probes of every cell.

Each cell's result is a small file of its own, which is result, cache and resume point in one; `collate` makes one
HDF5 file and the tables of them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from decoders import PixelCNNPP, code_lengths_and_mean_map_bits, code_lengths_bits
from ib_analysis.activations import Part
from ib_analysis.artifacts import Artifact, atomic_path
from ib_analysis.data import ImageData
from ib_analysis.experiment import Experiment, ExperimentConfig, Fit, Run, cell_name
from ib_analysis.information.features import pool_features
from ib_analysis.information.noise_probe import probe_noise
from ib_analysis.information.probe import ProbePair, ProbeSplit, probe_targets
from ib_analysis.stages.context import data_section, encoder_identities, images_of, measured_images
from ib_analysis.stages.feed import CellFeed, Reading
from ib_analysis.stages.fit import decoder_artifact, feed_for, load_decoder, readings_of
from ib_analysis.stages.workers import Progress, Unit

__all__ = [
    "NULL",
    "NULL_VALIDATION",
    "best_kind",
    "code_length_artifact",
    "code_length_units",
    "load_arrays",
    "measure_code_lengths",
    "probe_artifact",
    "probe_units",
    "save_arrays",
]

NULL = "null"
"""Code lengths of the evaluation images under the null condition."""
NULL_VALIDATION = "null_validation"
"""The same of the validation slice, by which the common null is chosen."""


# ---------------------------------------------------------------------------------------------- code lengths


def code_length_artifact(experiment: Experiment, fit: Fit, what: str) -> Artifact:
    """One decoder's code lengths: ``what`` is a reading's name, `NULL` or `NULL_VALIDATION`."""
    path = experiment.folder / "code_lengths" / fit.key / f"{what.replace('/', '_')}.npz"
    inputs = {"data": measured_images(experiment).sha256, "decoder": decoder_artifact(experiment, fit).identity}
    if what != NULL_VALIDATION:
        # As an input and not as config: files of before, without the mean map, are measured again.
        inputs["content"] = "bits, mean_map_bits"
    config = {"what": what, "group_size": experiment.config.activations.group_size}
    return Artifact(path, "code_lengths", config, inputs, fit.decoder_seed)


def _code_length_artifacts(experiment: Experiment, fit: Fit) -> dict[str, Artifact]:
    names = [NULL_VALIDATION, NULL, *(reading.name for reading in readings_of(experiment, fit))]
    return {name: code_length_artifact(experiment, fit, name) for name in names}


def code_length_units(experiment: Experiment) -> list[Unit]:
    """One unit per decoder that has not yet measured all its cells."""
    return [
        Unit(fit.key, _measure, (experiment.config, fit))
        for fit in experiment.fits
        if any(item.status() != "complete" for item in _code_length_artifacts(experiment, fit).values())
    ]


def _measure(config: ExperimentConfig, fit: Fit, progress: Progress) -> None:
    experiment = Experiment(config)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    decoder = load_decoder(experiment, fit, device)
    record = decoder_artifact(experiment, fit).manifest() or {}
    feed = feed_for(experiment, fit, record.get("spike_in_scales"))
    readings = {reading.name: reading for reading in feed.readings}
    artifacts = _code_length_artifacts(experiment, fit)
    measure_code_lengths(decoder, feed, artifacts, readings, progress, mean_maps=True)


def measure_code_lengths(
    decoder: PixelCNNPP,
    feed: CellFeed,
    artifacts: Mapping[str, Artifact],
    readings: Mapping[str, Reading],
    progress: Progress,
    beside: Callable[[tuple[int, str], Part], dict[str, np.ndarray]] | None = None,
    mean_maps: bool = False,
) -> None:
    """Measure what is not complete of a decoder's code lengths, each into its small file as ``bits``, shape (N,).

    Arguments:
        artifacts: `NULL_VALIDATION`, `NULL` or a reading's name -> the record of its file.
        readings: name -> what the images are conditioned on.
        beside: (cell, part) -> further arrays that are kept with the cell's code lengths.
        mean_maps: keep also the mean over the evaluation images of each pixel's and channel's bits, as
            ``mean_map_bits``, shape (C, H, W).
    """
    progress(0, len(artifacts), {})
    for done, (name, artifact) in enumerate(artifacts.items(), start=1):
        if artifact.status() != "complete":
            artifact.begin()
            start = time.perf_counter()
            part: Part = "validation" if name == NULL_VALIDATION else "evaluation"
            reading = readings.get(name)
            minibatches = feed.part(part, None) if reading is None else feed.part(part, *reading)
            if mean_maps and part == "evaluation":
                bits, mean_map = code_lengths_and_mean_map_bits(decoder, minibatches)
                arrays = {"bits": bits, "mean_map_bits": mean_map}
            else:
                arrays = {"bits": code_lengths_bits(decoder, minibatches)}
            if beside is not None and reading is not None:
                arrays |= beside(reading.cell, part)
            save_arrays(artifact, arrays, seconds=time.perf_counter() - start)
        progress(done, len(artifacts), {"bits": float(load_arrays(artifact)["bits"].mean())})


# ---------------------------------------------------------------------------------------------- probes


def probe_artifact(experiment: Experiment, run: Run, cell: tuple[int, str]) -> Artifact:
    """The probes of one cell: labels, and factors where they are known."""
    path = experiment.folder / "probes" / run.key / f"{cell_name(*cell).replace('/', '_')}.npz"
    config = {
        **experiment.section("probe"),
        "cell": cell_name(*cell),
        "group_size": experiment.config.activations.group_size,
        "data": data_section(experiment),
    }
    inputs = {
        "data": images_of(experiment).sha256,
        "encoder": encoder_identities(experiment, run)[cell[0]],
    }
    return Artifact(path, "probes", config, inputs, run.encoder_seed)


def probe_units(experiment: Experiment) -> list[Unit]:
    """One unit per run that has not yet probed all its cells."""
    return [
        Unit(run.key, _probe, (experiment.config, run))
        for run in experiment.runs
        if any(probe_artifact(experiment, run, cell).status() != "complete" for cell in experiment.cells)
    ]


def _probe(config: ExperimentConfig, run: Run, progress: Progress) -> None:
    experiment = Experiment(config)
    data = images_of(experiment)
    fit = Fit("", run, 0, experiment.cells)
    feed = feed_for(experiment, fit)
    progress(0, len(experiment.cells), {})
    for done, cell in enumerate(experiment.cells, start=1):
        artifact = probe_artifact(experiment, run, cell)
        if artifact.status() != "complete":
            artifact.begin()
            start = time.perf_counter()
            arrays = _probe_cell(data, feed, cell, config)
            save_arrays(artifact, arrays, seconds=time.perf_counter() - start)
        bits = data.h_y_bits - _best(load_arrays(artifact), "label").mean()
        progress(done, len(experiment.cells), {"I(H;Y) bits": float(bits)})


def _probe_cell(
    data: ImageData, feed: CellFeed, cell: tuple[int, str], config: ExperimentConfig
) -> dict[str, np.ndarray]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parts: tuple[Part, ...] = ("train", "validation", "evaluation")
    # The nuisance's probe wants every position; without it large layers are pooled before they are in memory.
    pool = None if "noise" in data.factor_bits else partial(pool_features, max_features=config.probe.max_features)
    activations = torch.cat([feed.activations(part, cell, pool) for part in parts])
    split = ProbeSplit(len(data.fitting), len(data.validation), len(data.evaluation))
    targets = {"label": np.concatenate([data.decoder.labels, data.evaluation.labels])}
    factors = {
        name: np.concatenate([data.decoder.factors[name], data.evaluation.factors[name]]) for name in data.factor_bits
    }
    noise = factors.pop("noise", None)
    targets |= {f"factor:{name}": values for name, values in factors.items()}
    pairs: dict[str, ProbePair] = probe_targets(activations, targets, split, config.probe, seed=cell[0], device=device)
    if noise is not None:
        side = math.isqrt(noise.shape[1])
        pairs["factor:noise"] = probe_noise(
            activations, noise, (side, side), split, config.probe, seed=cell[0], device=device
        )
    arrays: dict[str, np.ndarray] = {}
    for name, pair in pairs.items():
        for kind, probe in (("linear", pair.linear), ("network", pair.network)):
            arrays[f"{name}/{kind}"] = probe.cross_entropy_bits
            arrays[f"{name}/{kind}/validation"] = np.array(probe.validation_bits)
            arrays[f"{name}/{kind}/accuracy"] = np.array(probe.accuracy)
    return arrays


def _best(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Cross-entropies of the probe that is better on the validation slice."""
    return arrays[f"{name}/{best_kind(arrays, name)}"]


def best_kind(arrays: dict[str, np.ndarray], name: str) -> str:
    """Which probe of a target is better on the validation slice: ``linear`` or ``network``."""
    linear, network = (float(arrays[f"{name}/{kind}/validation"]) for kind in ("linear", "network"))
    return "network" if network < linear else "linear"


# ---------------------------------------------------------------------------------------------- small files


def save_arrays(artifact: Artifact, arrays: dict[str, np.ndarray], **facts: Any) -> None:
    with atomic_path(artifact.path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    artifact.finish(**facts)


def load_arrays(artifact: Artifact) -> dict[str, np.ndarray]:
    """The arrays of one small file; nothing in it is executed."""
    with np.load(Path(artifact.path), allow_pickle=False) as found:
        return {name: found[name] for name in found.files}
