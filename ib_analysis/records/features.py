"""The base's features of an experiment's images: kept beside the base, for all experiments on the same images."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ib_analysis.artifacts import Artifact
from ib_analysis.bases.features import StoredFeatures
from ib_analysis.experiment import Experiment
from ib_analysis.fits.feed import images_in_order
from ib_analysis.records.bases import base_artifact, base_recipe
from ib_analysis.records.images import measured_images

__all__ = ["FeaturePart", "feature_parts", "stored_features"]

PART_IMAGES = 2500
"""Images of a file: some hundred megabytes at the most, so that several processes share the work."""


class FeaturePart(NamedTuple):
    """A file of features: of the images ``start`` to ``stop`` in the order of `images_in_order`."""

    artifact: Artifact
    start: int
    stop: int


def feature_parts(experiment: Experiment) -> list[FeaturePart]:
    """The files, in the order of the images; none where features are recomputed whenever they are needed."""
    if not experiment.has_base or experiment.config.activations.mode == "recompute":
        return []
    data, base = measured_images(experiment), base_artifact(experiment)
    total = len(data.decoder) + len(data.evaluation)
    folder = Path(experiment.config.checkpoints) / "bases" / base_recipe(experiment).key / "features" / data.sha256[:12]
    inputs = {"base": base.identity, "data": data.sha256}
    return [
        FeaturePart(
            Artifact(folder / f"part_{start // PART_IMAGES:03d}.npy", "base_features", {"start": start}, inputs),
            start,
            min(start + PART_IMAGES, total),
        )
        for start in range(0, total, PART_IMAGES)
    ]


def stored_features(experiment: Experiment) -> StoredFeatures | None:
    """What looks features up, once the stage that makes them is done; None where they are recomputed."""
    parts = tuple((part.artifact.path.absolute(), part.stop - part.start) for part in feature_parts(experiment))
    return _stored(experiment.config.data, parts, experiment) if parts else None


_KNOWN: dict[object, StoredFeatures] = {}


def _stored(key: object, parts: tuple[tuple[Path, int], ...], experiment: Experiment) -> StoredFeatures:
    if (key, parts) not in _KNOWN:
        _KNOWN.clear()
        _KNOWN[key, parts] = StoredFeatures(images_in_order(measured_images(experiment)), parts)
    return _KNOWN[key, parts]
