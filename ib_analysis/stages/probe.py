"""Probe: what linear and small networks read of labels and factors from every cell."""

from __future__ import annotations

import math
import time
from functools import partial

import numpy as np
import torch

from ib_analysis.activations import Part
from ib_analysis.data import ImageData
from ib_analysis.engines.local import Progress, Unit
from ib_analysis.experiment import Experiment, ExperimentConfig, Fit, Run
from ib_analysis.fits.feed import CellFeed, images_in_order
from ib_analysis.fits.leak_guard import image_guard
from ib_analysis.information.features import distinct_rows, pool_features
from ib_analysis.information.guard import Guard
from ib_analysis.information.noise_probe import probe_noise
from ib_analysis.information.probe import ProbePair, ProbeSplit, probe_targets
from ib_analysis.records.arrays import load_arrays, save_arrays
from ib_analysis.records.decoders import feed_for
from ib_analysis.records.images import images_of
from ib_analysis.records.probes import best_kind, probe_artifact

__all__ = ["probe_units"]


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
    feed, guard = feed_for(experiment, fit), image_guard(data, "a probe")
    n_distinct: int | None = None  # of the images: counted once, for the first cell that is missing
    progress(0, len(experiment.cells), {})
    for done, cell in enumerate(experiment.cells, start=1):
        artifact = probe_artifact(experiment, run, cell)
        if artifact.status() != "complete":
            artifact.begin()
            start = time.perf_counter()
            if n_distinct is None:
                n_distinct = distinct_rows(images_in_order(data))
            arrays = _probe_cell(data, feed, cell, config, guard)
            arrays["distinct_images"] = np.array(n_distinct)
            save_arrays(artifact, arrays, seconds=time.perf_counter() - start)
        told = {}
        if data.has_labels:
            told["I(H;Y) bits"] = float(data.h_y_bits - _best(load_arrays(artifact), "label").mean())
        progress(done, len(experiment.cells), told)


def _probe_cell(
    data: ImageData, feed: CellFeed, cell: tuple[int, str], config: ExperimentConfig, guard: Guard
) -> dict[str, np.ndarray]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parts: tuple[Part, ...] = ("train", "validation", "evaluation")
    # The nuisance's probe wants every position; without it large layers are pooled before they are in memory.
    pool = None if "noise" in data.factor_bits else partial(pool_features, max_features=config.probe.max_features)
    activations = torch.cat([feed.activations(part, cell, pool) for part in parts])
    split = ProbeSplit(len(data.fitting), len(data.validation), len(data.evaluation))
    labels = np.concatenate([data.decoder.labels, data.evaluation.labels])
    targets = {"label": labels} if data.has_labels else {}
    factors = {
        name: np.concatenate([data.decoder.factors[name], data.evaluation.factors[name]]) for name in data.factor_bits
    }
    noise = factors.pop("noise", None)
    targets |= {f"factor:{name}": values for name, values in factors.items()}
    pairs: dict[str, ProbePair] = {}
    if targets:
        pairs = probe_targets(activations, targets, split, config.probe, seed=cell[0], device=device, guard=guard)
    if noise is not None:
        side = math.isqrt(noise.shape[1])
        pairs["factor:noise"] = probe_noise(
            activations, noise, (side, side), split, config.probe, seed=cell[0], device=device, guard=guard
        )
    arrays: dict[str, np.ndarray] = {"distinct_activations": np.array(distinct_rows(activations.numpy()))}
    for name, pair in pairs.items():
        for kind, probe in (("linear", pair.linear), ("network", pair.network)):
            arrays[f"{name}/{kind}"] = probe.cross_entropy_bits
            arrays[f"{name}/{kind}/validation"] = np.array(probe.validation_bits)
            arrays[f"{name}/{kind}/accuracy"] = np.array(probe.accuracy)
            arrays[f"{name}/{kind}/overfits_at_once"] = np.array(probe.overfits_at_once)
    return arrays


def _best(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Cross-entropies of the probe that is better on the validation slice."""
    return arrays[f"{name}/{best_kind(arrays, name)}"]
