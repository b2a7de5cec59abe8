"""One decoder from its network and its minibatches to a complete artifact: fitted, resumable, with its curve."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from decoders import Decoder, TrainingData, fit
from decoders.fitting.fit import FittingConfig, Halfway
from ib_analysis.artifacts import Artifact, UserError, load_tensors, save_tensors, sha256_of_file, write_text
from ib_analysis.engines.launch import Launch
from ib_analysis.engines.local import Progress
from ib_analysis.fits.unfinished import UnfinishedFit

__all__ = ["Feed", "fit_artifact", "halfway_path", "halfway_sha256", "halfway_weights", "write_weights"]


def write_weights(path: Path, decoder: Decoder) -> dict[str, Any]:
    """Write a decoder's weights as they are; there are no facts to tell."""
    save_tensors(path, {name: tensor.cpu() for name, tensor in decoder.state_dict().items()})
    return {}


class Feed(Protocol):
    """What a decoder is fitted to: `ib_analysis.fits.feed.CellFeed`, `ib_analysis.brackets.PlaneFeed`."""

    def standardisation(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Mean and standard deviation per channel of every cell: name -> ((C,), (C,))."""
        ...

    def guarded(self) -> TrainingData:
        """The minibatches, with whatever guards them against evaluation images."""
        ...

    @property
    def facts(self) -> dict[str, Any]:
        """What is kept beside the record of the fit."""
        ...


def fit_artifact(
    artifact: Artifact,
    make: Callable[[], Decoder],
    feed: Feed,
    fitting: FittingConfig,
    seed: int,
    progress: Progress,
    start: Callable[[Decoder], bool] = lambda decoder: False,
    write: Callable[[Path, Decoder], dict[str, Any]] = write_weights,
) -> None:
    """Fit a decoder, or go on where a fit of the same recipe was interrupted; a complete one is left alone.

    Writes the decoder's weights to the artifact's path and the validations to ``curve.csv`` beside it; the record of
    the fit goes into the manifest. Of a fit that also ended halfway, the weights that it had then go to ``halfway.pt``
    beside it, whose hash is in the manifest under ``halfway``.

    Arguments:
        artifact: what the decoder will be.
        make: makes the network, with random weights.
        feed: images, and the activations of the cells.
        fitting: the settings of the fit.
        seed: of the weights and of everything random in the fit.
        progress: told of every step.
        start: may give the decoder other weights to start from; returns whether it has.
        write: writes the fitted decoder's file, and returns what its manifest tells of it.

    Raises:
        UserError: another config made what is there already; an evaluation image is among the minibatches; the disk is
            full.
    """
    if artifact.status() == "complete":
        return  # by a worker that died before it could say so
    main = Launch().is_main
    if main:
        artifact.begin()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = make()
    for name, (mean, deviation) in feed.standardisation().items():
        decoder.standardise(name, mean, deviation)
    started = start(decoder)
    unfinished = UnfinishedFit(artifact.path.with_name("resume.pt"), artifact.begun)
    record = fit(
        decoder, feed.guarded(), fitting, seed=seed, checkpoint=unfinished, progress=progress, initialise=not started
    )  # fmt: skip
    if not main:
        return
    points = [{**dataclasses.asdict(point), **point.cell_bits} for point in record.curve]
    for point in points:
        del point["cell_bits"]
    write_text(artifact.path.with_name("curve.csv"), _csv(points))
    told = write(artifact.path, decoder)
    facts = dataclasses.asdict(dataclasses.replace(record, halfway=None)) | _write_halfway(artifact, record.halfway)
    facts.pop("curve")
    artifact.finish(**facts, **feed.facts, **told)
    unfinished.path.unlink(missing_ok=True)


def halfway_path(artifact: Artifact) -> Path:
    """Where the weights lie that a decoder had when its fit ended halfway, if it did."""
    return artifact.path.with_name("halfway.pt")


def halfway_sha256(artifact: Artifact) -> str | None:
    """Hash of the weights that a decoder had when its fit ended halfway; None where it did not, and in old records."""
    found = artifact.record.get("halfway")
    return str(found["sha256"]) if found else None


def halfway_weights(artifact: Artifact) -> dict[str, Tensor] | None:
    """These weights, a state dict on the CPU.

    Raises:
        UserError: they are missing, or not those of the record.
    """
    expected = halfway_sha256(artifact)
    if expected is None:
        return None
    path = halfway_path(artifact)
    weights = load_tensors(path)
    if sha256_of_file(path) != expected:
        raise UserError(
            f"{path} is not what the fit of its decoder wrote; delete the folder {path.parent} and run the same "
            "command again to fit this decoder anew."
        )
    return weights


def _write_halfway(artifact: Artifact, halfway: Halfway | None) -> dict[str, Any]:
    """Write the weights of a halfway end, or remove those of an earlier fit; what the manifest tells of it."""
    path = halfway_path(artifact)
    if halfway is None:
        path.unlink(missing_ok=True)
        return {"halfway": None}
    save_tensors(path, halfway.weights)
    best = next(point for point in halfway.curve if point.step == halfway.best_step)
    return {
        "halfway": {
            "sha256": sha256_of_file(path),
            "best_step": halfway.best_step,
            "steps_done": halfway.steps_done,
            "recoveries": halfway.recoveries,
            "validation_bits": best.validation_bits,
        }
    }


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
