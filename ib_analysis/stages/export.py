"""Quantized and binary encoders as files of integers or signs: written, read again, and compared bit for bit."""

from __future__ import annotations

from pathlib import Path

import torch

from ib_analysis.artifacts import Artifact, UserError
from ib_analysis.binary.packed_network import load_packed, save_packed, weight_bytes
from ib_analysis.encoders import layer_works
from ib_analysis.experiment import Experiment, Run
from ib_analysis.quantization import format_cost, number_format, plan
from ib_analysis.quantization.export import code_bytes, load_integers, save_integers
from ib_analysis.records.encoders import encoder_at, encoder_identities, encoder_recipe, new_encoder
from ib_analysis.records.images import images_of
from ib_analysis.stages.pipeline import run_until

__all__ = ["export"]

CHECKED_IMAGES = 256
"""Evaluation images on which the exported network is compared with the trained one."""


def export(experiment: Experiment) -> list[str]:
    """Export the last checkpoint of every quantized or binary encoder; what is not trained yet is trained first.

    Writes ``checkpoints/<experiment>/integers/<run>.h5`` (see `ib_analysis.quantization.export`, and for binary ones
    `ib_analysis.binary.packed_network`). Each file is read again into a network that multiplies and adds integers, or
    packed signs, whose output on evaluation images must be the trained network's, bit for bit.

    Returns:
        One line per file: where it is, what it takes on disk beside the memory model's figure.

    Raises:
        UserError: no number format is quantized, a network cannot be exported, or the outputs differ.
    """
    formats = {run: number_format(run.number_format) for run in experiment.runs}
    runs = [run for run, chosen in formats.items() if chosen.is_quantized]
    if not runs:
        raise UserError(
            f"number_formats of {experiment.config.name} are {', '.join(experiment.config.number_formats)}: none of "
            "them is quantized to integers, so there are none to export; add one such as w4a4_ends8, or binary."
        )
    run_until(experiment, "train")
    return [_export(experiment, run) for run in runs]


def _export(experiment: Experiment, run: Run) -> str:
    epoch, path = experiment.epochs[-1], experiment.folder / "integers" / f"{run.key}.h5"
    inputs = {"encoder": encoder_identities(experiment, run)[epoch]}
    artifact = Artifact(path, "integers", encoder_recipe(experiment, run), inputs, run.encoder_seed)
    encoder = encoder_at(experiment, run, epoch)
    binary = number_format(run.number_format).is_binary
    if artifact.status() != "complete":
        artifact.begin()
        about = {"number_format": run.number_format, "task": run.task, "epoch": epoch}
        (save_packed if binary else save_integers)(encoder, path, about)
        artifact.finish()
    images = torch.from_numpy(images_of(experiment).evaluation.images[:CHECKED_IMAGES])
    fresh = new_encoder(experiment, run)
    integer = load_packed(path, fresh) if binary else load_integers(path, fresh, run.number_format)
    with torch.inference_mode():
        same = torch.equal(integer(images), encoder.cpu()(images))
    if not same:
        raise UserError(
            f"{path} does not reproduce the trained network bit for bit; please report this with its config."
        )
    if binary:
        sizes = f"weights {weight_bytes(path):,} bytes, one bit each, file {path.stat().st_size:,}"
    else:
        sizes = _sizes(experiment, run, encoder, path)
    return f"{path}: {sizes}; equals the trained network bit for bit on {len(images)} images"


def _sizes(experiment: Experiment, run: Run, encoder: torch.nn.Module, path: Path) -> str:
    works = layer_works(encoder, images_of(experiment).image_shape)
    formats = plan(
        number_format(run.number_format), [work.name for work in works], experiment.config.quantization.overrides
    )
    quantized = [work for work in works if formats[work.name].is_quantized]
    return (
        f"weights {code_bytes(path):,} bytes (memory model {format_cost(quantized, formats).memory_bits / 8:,.0f}), "
        f"file {path.stat().st_size:,}"
    )
