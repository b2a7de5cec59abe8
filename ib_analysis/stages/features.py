"""Features: what the base knows of every pixel of the experiment's images, computed once."""

from __future__ import annotations

import torch

from ib_analysis.bases.features import write_features
from ib_analysis.engines.local import Progress, Unit
from ib_analysis.experiment import Experiment, ExperimentConfig
from ib_analysis.fits.feed import images_in_order
from ib_analysis.records.bases import load_base
from ib_analysis.records.features import feature_parts
from ib_analysis.records.images import measured_images

__all__ = ["feature_units"]


def feature_units(experiment: Experiment) -> list[Unit]:
    """One unit per file that is not complete."""
    return [
        Unit(part.artifact.path.stem, _features, (experiment.config, number))
        for number, part in enumerate(feature_parts(experiment))
        if not part.artifact.is_whole
    ]


def _features(config: ExperimentConfig, number: int, progress: Progress) -> None:
    experiment = Experiment(config)
    part = feature_parts(experiment)[number]
    base = load_base(experiment, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    images = torch.from_numpy(images_in_order(measured_images(experiment))[part.start : part.stop])
    part.artifact.begin()
    write_features(part.artifact.path, base, images, progress)
    part.artifact.finish()
