"""Base: the unconditional model of the data set, fitted once for all experiments on the same images."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import torch

from decoders import Decoder, Minibatch, PixelCNNPP, code_lengths_bits
from ib_analysis.artifacts import Artifact, sha256_of_array, write_text
from ib_analysis.bases import BaseFeed, write_base
from ib_analysis.bases.files import rounded
from ib_analysis.engines.launch import Launch
from ib_analysis.engines.local import Progress, Unit, exclusive
from ib_analysis.experiment import Experiment, ExperimentConfig
from ib_analysis.fits.artifact import fit_artifact
from ib_analysis.records.bases import base_artifact, base_feed, base_recipe

__all__ = ["base_units", "describe_base"]

EVALUATED = 2000
"""Evaluation images whose mean code length a base's card tells: the first ones, in an order that is a hash's."""


def base_units(experiment: Experiment) -> list[Unit]:
    """The fit of the base, unless it is complete."""
    if base_artifact(experiment).is_whole:
        return []
    return [Unit("base", _fit_base, (experiment.config,))]


def _fit_base(config: ExperimentConfig, progress: Progress) -> None:
    experiment = Experiment(config)
    artifact, feed = base_artifact(experiment), base_feed(experiment)
    if not Launch().is_main:
        _fit(experiment, artifact, feed, progress)
        return
    with exclusive(artifact.path.with_name(".lock"), f"the base {artifact.path.parent}"):
        _fit(experiment, artifact, feed, progress)
        write_text(artifact.path.with_name("card.md"), _card(experiment, artifact))


def _fit(experiment: Experiment, artifact: Artifact, feed: BaseFeed, progress: Progress) -> None:
    config = experiment.config

    def write(path: Path, base: Decoder) -> dict[str, Any]:
        assert isinstance(base, PixelCNNPP)
        rounded(base)
        write_base(path, base, feed.unseen)
        images = torch.from_numpy(feed.evaluation[:EVALUATED])
        bits = code_lengths_bits(base, [Minibatch(part) for part in images.split(64)])
        validation = code_lengths_bits(base, feed.validation())
        return {
            "experiment": config.name,
            "evaluation_bits": float(bits.mean()),
            "evaluation_images": len(bits),
            "validation_bits": float(validation.mean()),
            "validation_images": len(validation),
            "unseen_images": len(feed.unseen),
            "unseen_sha256": sha256_of_array(feed.unseen),
            "parameters": sum(parameter.numel() for parameter in base.parameters()),
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        }

    network = base_recipe(experiment).network
    fit_artifact(
        artifact, lambda: PixelCNNPP(network), feed, config.base_fitting, config.base_seed, progress, write=write
    )


def _card(experiment: Experiment, artifact: Artifact) -> str:
    record, space = artifact.record, base_recipe(experiment).space
    dimensions = space.channels * space.height * space.width
    bits, fitting = record["evaluation_bits"], experiment.config.base_fitting
    rows = [
        ("images", f"{experiment.config.data.source}, {space.channels} x {space.height} x {space.width}, "
                   f"{space.intensities} intensities"),
        ("hash of what it may learn from and of what not", f"`{artifact.inputs['images']}`"),
        ("images that it must not have seen", f"{record['unseen_images']}, hash `{record['unseen_sha256']}`"),
        ("made by", f"`ib base {shlex.quote(experiment.config.name)} --base scratch`"),
        ("network", f"PixelCNN++, {experiment.config.base_network.blocks} blocks, "
                    f"{experiment.config.base_network.filters} filters, {record['parameters']:,} parameters"),
        ("fit", f"{record['steps_done']:,} steps of {fitting.batch_size} images, {fitting.optimiser}, "
                f"seed {experiment.config.base_seed}"),
        ("time", f"{record['seconds']:,.0f} s on {record['device']}"),
        ("code length", f"{bits:,.2f} bits an image ({bits / dimensions:.4f} bits a dimension), mean of the first "
                        f"{record['evaluation_images']:,} evaluation images"),
        ("weights", "float16, as measured"),
    ]  # fmt: skip
    return "\n".join(["# Base", "", "| | |", "| --- | --- |", *(f"| {name} | {what} |" for name, what in rows), ""])


def describe_base(experiment: Experiment) -> str:
    """Where the base is and what it says of the images, in one sentence."""
    artifact = base_artifact(experiment)
    record = artifact.record
    return (
        f"base: {artifact.path}, {record['evaluation_bits']:,.2f} bits an image (mean of "
        f"{record['evaluation_images']:,} evaluation images)"
    )
