"""The small files of probes: one per run and cell."""

from __future__ import annotations

import numpy as np

from ib_analysis.artifacts import Artifact
from ib_analysis.experiment import Experiment, Run, cell_name
from ib_analysis.records.cells import cell_recipe

__all__ = ["best_kind", "distinct_share", "probe_artifact"]


def probe_artifact(experiment: Experiment, run: Run, cell: tuple[int, str]) -> Artifact:
    """The probes of one cell: labels, and factors where they are known."""
    path = experiment.folder / "probes" / run.key / f"{cell_name(*cell).replace('/', '_')}.npz"
    config, inputs = cell_recipe(experiment, run, cell, **experiment.section("probe"), **experiment.storage)
    return Artifact(path, "probes", config, inputs, run.encoder_seed)


def best_kind(arrays: dict[str, np.ndarray], name: str) -> str:
    """Which probe of a target is better on the validation slice: ``linear`` or ``network``."""
    linear, network = (float(arrays[f"{name}/{kind}/validation"]) for kind in ("linear", "network"))
    return "network" if network < linear else "linear"


def distinct_share(arrays: dict[str, np.ndarray]) -> float | None:
    """Distinct activations over distinct images; None in records from before they were counted."""
    if "distinct_images" not in arrays:
        return None
    return float(arrays["distinct_activations"]) / float(arrays["distinct_images"])
