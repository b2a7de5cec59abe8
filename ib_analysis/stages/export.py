"""Quantized encoders as files of integers: written, read again, and compared bit for bit."""

from __future__ import annotations

from pathlib import Path

import torch

from ib_analysis.artifacts import Artifact, UserError
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
    """Export the last checkpoint of every quantized encoder; what is not trained yet is trained first.

    Writes ``checkpoints/<experiment>/integers/<run>.h5`` (see `ib_analysis.quantization.export`). Each file is read
    again into a network that multiplies and adds integers, whose output on evaluation images must be the trained
    network's, bit for bit.

    Returns:
        One line per file: where it is, what it takes on disk beside the memory model's figure.

    Raises:
        UserError: no number format is quantized, a network cannot be exported, or the outputs differ.
    """
    formats = {run: number_format(run.number_format) for run in experiment.runs}
    runs = [run for run, chosen in formats.items() if chosen.is_quantized and not chosen.is_binary]
    if not runs:
        raise UserError(
            f"number_formats of {experiment.config.name} are {', '.join(experiment.config.number_formats)}: none of "
            "them is quantized to integers, so there are none to export; add one such as w4a4_ends8."
        )
    run_until(experiment, "train")
    return [_export(experiment, run) for run in runs]


def _export(experiment: Experiment, run: Run) -> str:
    epoch, path = experiment.epochs[-1], experiment.folder / "integers" / f"{run.key}.h5"
    inputs = {"encoder": encoder_identities(experiment, run)[epoch]}
    artifact = Artifact(path, "integers", encoder_recipe(experiment, run), inputs, run.encoder_seed)
    encoder = encoder_at(experiment, run, epoch)
    if artifact.status() != "complete":
        artifact.begin()
        save_integers(encoder, path, {"number_format": run.number_format, "task": run.task, "epoch": epoch})
        artifact.finish()
    images = torch.from_numpy(images_of(experiment).evaluation.images[:CHECKED_IMAGES])
    integer = load_integers(path, new_encoder(experiment, run), run.number_format)
    with torch.inference_mode():
        same = torch.equal(integer(images), encoder.cpu()(images))
    if not same:
        raise UserError(
            f"{path} does not reproduce the trained network bit for bit; please report this with its config."
        )
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
