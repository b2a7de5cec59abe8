"""Probes fitted on labels that belong to other images: what they find of the true ones has to be nothing."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from ib_analysis.activations import Part
from ib_analysis.engines.local import Progress, Unit
from ib_analysis.experiment import Experiment, ExperimentConfig, Fit
from ib_analysis.fits.leak_guard import image_guard
from ib_analysis.information.features import pool_features
from ib_analysis.information.guard import Guard, unguarded
from ib_analysis.information.probe import ProbeConfig, ProbeSplit, probe_targets
from ib_analysis.records.arrays import load_arrays, save_arrays
from ib_analysis.records.decoders import feed_for
from ib_analysis.records.images import images_of
from ib_analysis.studies.controls.config import ControlsConfig
from ib_analysis.studies.controls.plan import Controls

__all__ = ["permuted", "permuted_label_units", "probe_permuted"]


def permuted(labels: np.ndarray, split: ProbeSplit, seed: int) -> np.ndarray:
    """Labels of all images, those of the training and the validation images each permuted among themselves.

    The evaluation images keep theirs. How often each class occurs in a part does not change.

    Arguments:
        labels: shape (N,), training, validation and evaluation images in this order.
    """
    rng = np.random.default_rng([seed, 0x1ABE1])
    found = np.array(labels)
    for part in (slice(0, split.n_training), split.validation):
        found[part] = rng.permutation(found[part])
    return found


def probe_permuted(
    activations: Tensor,
    labels: np.ndarray,
    split: ProbeSplit,
    config: ProbeConfig,
    seed: int,
    guard: Guard = unguarded,
) -> np.ndarray:
    """-log2 q(y | h) of the evaluation images' true labels, by the better probe fitted on permuted ones.

    Arguments:
        activations: shape (N, C, h, w) or (N, C), in the order of `ProbeSplit`.
        labels: shape (N,), the true labels.
        guard: asked with the places of images before each of them is used in a fit.

    Returns:
        shape (n_evaluation,), bits.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    targets = {"label": permuted(labels, split, seed)}
    return probe_targets(activations, targets, split, config, seed=seed, device=device, guard=guard)[
        "label"
    ].better.cross_entropy_bits


def permuted_label_units(controls: Controls) -> list[Unit]:
    """One unit for all layers that are not complete, or none."""
    if all(controls.permuted_artifact(layer).status() == "complete" for layer in controls.layers):
        return []
    return [Unit("permuted labels", _probe, (controls.experiment.config, controls.settings))]


def _probe(config: ExperimentConfig, settings: ControlsConfig, progress: Progress) -> None:
    experiment = Experiment(config)
    controls = Controls(experiment, settings)
    data = images_of(experiment)
    guard = image_guard(data, "a control")
    feed = feed_for(experiment, Fit("", controls.run, 0, experiment.cells))
    split = ProbeSplit(len(data.fitting), len(data.validation), len(data.evaluation))
    labels = np.concatenate([data.decoder.labels, data.evaluation.labels])
    pool = partial(pool_features, max_features=config.probe.max_features)
    parts: tuple[Part, ...] = ("train", "validation", "evaluation")
    progress(0, len(controls.layers), {})
    for done, layer in enumerate(controls.layers, start=1):
        artifact = controls.permuted_artifact(layer)
        if artifact.status() != "complete":
            artifact.begin()
            cell = (controls.epoch, layer)
            activations = torch.cat([feed.activations(part, cell, pool) for part in parts])
            bits = probe_permuted(activations, labels, split, config.probe, controls.epoch, guard)
            save_arrays(artifact, {"bits": bits})
        found = data.h_y_bits - float(load_arrays(artifact)["bits"].mean())
        progress(done, len(controls.layers), {"I(H;Y) bits": found})
