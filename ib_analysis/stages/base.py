"""Base: the unconditional model of the data set, fitted once for all experiments on the same images."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import torch
import yaml

from decoders import Decoder, Minibatch, PixelCNNPP, code_lengths_bits
from ib_analysis.artifacts import Artifact, plain, sha256_of_array, write_text
from ib_analysis.bases import BaseFeed, write_base
from ib_analysis.bases.files import rounded
from ib_analysis.data import PLACES
from ib_analysis.engines.launch import Launch
from ib_analysis.engines.local import Progress, Unit, exclusive, remove_parts
from ib_analysis.experiment import Experiment, ExperimentConfig
from ib_analysis.fits.artifact import fit_artifact
from ib_analysis.records.bases import base_artifact, base_feed, base_recipe, is_shipped

__all__ = ["base_units", "describe_base"]

CAPS = ("per_class", "evaluation_per_class")
EVALUATED = 2000
"""Evaluation images whose mean code length a base's card tells: the first ones, in an order that is a hash's."""


def base_units(experiment: Experiment) -> list[Unit]:
    """The fit of the base, unless it is complete with its card."""
    artifact = base_artifact(experiment)
    if artifact.is_whole and (is_shipped(artifact) or _card_path(artifact).exists()):
        return []
    return [Unit("base", _fit_base, (experiment.config,))]


def _fit_base(config: ExperimentConfig, progress: Progress) -> None:
    experiment = Experiment(config)
    artifact, feed = base_artifact(experiment), base_feed(experiment)
    if not Launch().is_main:
        _fit(experiment, artifact, feed, progress)
        return
    folder = artifact.path.parent
    with exclusive(folder / ".lock", f"the base {folder}"):
        remove_parts(folder)
        _fit(experiment, artifact, feed, progress)
        write_text(_card_path(artifact), _card(experiment, artifact))


def _card_path(artifact: Artifact) -> Path:
    return artifact.path.with_name("card.md")


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
    record, recipe = artifact.record, base_recipe(experiment)
    config, space, network, fitting = experiment.config, recipe.space, recipe.architecture, recipe.fitting
    dimensions = space.channels * space.height * space.width
    bits = record["evaluation_bits"]
    rows = [
        ("images", f"{config.data.source}, {space.channels} x {space.height} x {space.width}, "
                   f"{space.intensities} intensities"),
        *([("coins", f"{recipe.coins.count} spike-ins ({recipe.coins.shown_as}), seed {recipe.coins.seed}")]
          if recipe.coins else []),
        ("hash of what it may learn from and of what not", f"`{recipe.images}`"),
        ("images that it must not have seen", f"{record['unseen_images']:,}, hash `{record['unseen_sha256']}`"),
        ("made by", f"`ib base {shlex.quote(config.name)} --base scratch`, with the settings below"),
        ("network", f"PixelCNN++, blocks: {network.blocks}, filters: {network.filters}, output: {network.output}, "
                    f"{record['parameters']:,} parameters"),
        ("fit", f"{record['steps_done']:,} steps of {fitting.batch_size} images, {fitting.optimiser}, "
                f"seed {recipe.seed}"),
        ("time", f"{record['seconds']:,.0f} s on {record['device']}"),
        ("code length", f"{bits:,.2f} bits an image ({bits / dimensions:.4f} bits a dimension), mean of the first "
                        f"{record['evaluation_images']:,} evaluation images"),
        ("weights", f"float16, as measured; hash of the file `{record['sha256']}`"),
    ]  # fmt: skip
    # Where the data lie is no setting of the base, nor is how many of them an experiment uses.
    data = {name: value for name, value in plain(config.data).items() if name not in (*PLACES, *CAPS)}
    settings = {"data": data, "base_network": network, "base_fitting": fitting, "base_seed": recipe.seed}
    if config.base_learns_from != "all":
        settings["base_learns_from"] = config.base_learns_from
    text = yaml.safe_dump(plain(settings), sort_keys=False, default_flow_style=None, width=110)
    table = ["# Base", "", "| | |", "| --- | --- |", *(f"| {name} | {what} |" for name, what in rows)]
    return "\n".join([*table, "", "```yaml", text.rstrip(), "```", ""])


def describe_base(experiment: Experiment) -> str:
    """Where the base is and what it says of the images, in one sentence."""
    artifact = base_artifact(experiment)
    record = artifact.record
    return (
        f"base: {artifact.path}, {record['evaluation_bits']:,.2f} bits an image (mean of "
        f"{record['evaluation_images']:,} evaluation images)"
    )
