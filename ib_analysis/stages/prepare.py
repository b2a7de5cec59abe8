"""The first stage: load the images and record what they are and how they were split."""

from __future__ import annotations

import json
import math
from pathlib import Path

import yaml

from ib_analysis.activations import groups_of
from ib_analysis.artifacts import UserError, plain, tell_once, write_text
from ib_analysis.data import facts, save_splits
from ib_analysis.experiment import BASE, Experiment
from ib_analysis.experiment_config import unused_by_architecture
from ib_analysis.information.summary import NO_LABELS
from ib_analysis.records.encoders import layer_shapes
from ib_analysis.records.filed import check_values
from ib_analysis.records.images import images_of, measured_images
from ib_analysis.records.joint import joint_reader

__all__ = ["prepare", "record_config"]


def prepare(experiment: Experiment) -> None:
    """Write ``config.yaml``, ``data.json`` and ``splits.h5``; look a user's activations through.

    Raises:
        UserError: the experiment was begun with other images, there are too few, or activations are no numbers.
    """
    data = images_of(experiment)
    path = experiment.folder / "data.json"
    known = _known(path)
    if known is not None and known.get("sha256") != data.sha256:
        raise UserError(
            f"{experiment.folder} was begun with other images (its data.json tells which); give this experiment "
            "another name (--name NEW_NAME), put the data back, or remove the old one (make clean EXPERIMENT=...)."
        )
    if len(data.evaluation) < 2:
        raise UserError(
            f"{data.name} has {len(data.evaluation)} evaluation image, and intervals need at least two; add images."
        )
    if experiment.contents is not None:
        if experiment.unused:
            told = ", ".join(experiment.unused)
            tell_once("unused", f"With activations_file no network is trained; not used: {told}.")
        check_values(experiment)
        if not data.has_labels:
            tell_once("no labels", NO_LABELS)
        if data.n_duplicates_dropped:
            tell_once(
                "dropped images",
                f"{data.n_duplicates_dropped} images of {experiment.config.activations_file} are left out: their "
                "pixels are those of images that the network was trained on or that decoders are judged on.",
            )
    else:
        for sentence in unused_by_architecture(experiment.config):
            tell_once(sentence, sentence)
    _tell_unmixed(experiment)
    if not (experiment.folder / "config.yaml").exists():
        record_config(experiment)
    # Figures compare with the entropy of what was measured: the images with the coins of spike-ins.
    measured = {**facts(data), "h_x_bits": measured_images(experiment).h_x_bits}
    other = known is not None and known.get("h_x_bits") != measured["h_x_bits"]
    if known is None or other or not (experiment.folder / "splits.h5").exists():
        save_splits(data, experiment.folder / "splits.h5")
        write_text(path, json.dumps(measured, indent=1) + "\n")


def _tell_unmixed(experiment: Experiment) -> None:
    """Say which layers are too large to be mixed freely, as if kept in float16."""
    if not experiment.has_base:
        return
    n_train = groups_of(measured_images(experiment), experiment.config.activations.group_size).n_train
    needed: dict[str, float] = {}
    for fit in experiment.fits:
        if fit.key == BASE or fit.run is None:
            continue
        shapes = layer_shapes(experiment, fit.run)
        values = sum(math.prod(shapes[layer]) for _, layer in fit.cells)
        if fit.joint:  # a part of a reader whose other cells have the same shape
            values *= len(joint_reader(experiment, fit).cells) // len(fit.cells)
        layers = " and ".join(sorted({layer for _, layer in fit.cells}))
        needed[layers] = max(needed.get(layers, 0.0), 2 * n_train * values / 2**30)
    held = experiment.config.held_gib
    large = {layers: gib for layers, gib in needed.items() if gib > held}
    if large:
        listed = ", ".join(f"{layers} {gib:.1f} GiB" for layers, gib in large.items())
        tell_once(
            "unmixed",
            f"Activations that readers learn from do not fit into the {held:g} GiB that each fit may hold ({listed}): "
            "there minibatches are whole groups of one cell each, from which readers learn more slowly. Raise held_gib "
            "if memory allows, or use fewer images (data.per_class) or checkpoints.",
        )


def record_config(experiment: Experiment) -> None:
    """Write the effective config; again at the end of a command, since a further seed, say, is no other experiment.

    Not at its start: a config that the artifacts refuse must not replace the one that made them.
    """
    text = yaml.safe_dump(plain(experiment.config), sort_keys=False, width=110)
    write_text(experiment.folder / "config.yaml", text)


def _known(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
