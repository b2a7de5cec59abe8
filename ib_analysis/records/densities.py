"""The cells that are made of codes, and the records of the codes for them."""

from __future__ import annotations

from typing import NamedTuple

from ib_analysis.artifacts import Artifact
from ib_analysis.experiment import Experiment, Run, cell_name
from ib_analysis.records.cells import cell_recipe
from ib_analysis.records.codes import codes_of
from ib_analysis.records.encoders import layer_shapes

__all__ = ["CodedCell", "bracket_epochs", "coded_cell", "coded_cells", "density_artifact"]


class CodedCell(NamedTuple):
    """A cell that is made of codes.

    Arguments:
        shape: of one image's codes, (C, h, w) or (C,).
        bits: of a code.
        density: the record of the fitted density model.
        code_lengths: the record of ``entropy_code`` and ``density`` in bits, shape (N,) each, of the evaluation images,
            and of ``counted``, shape (3,), where the layer is small enough.
    """

    run: Run
    cell: tuple[int, str]
    shape: tuple[int, ...]
    bits: int
    density: Artifact
    code_lengths: Artifact


def bracket_epochs(experiment: Experiment) -> tuple[int, ...]:
    """Epochs at which brackets are made."""
    chosen = experiment.config.brackets.epochs
    if isinstance(chosen, str):
        return experiment.epochs if chosen == "all" else experiment.epochs[-1:]
    return tuple(chosen)


def coded_cells(experiment: Experiment) -> list[CodedCell]:
    """The cells at the epochs of brackets that are made of codes.

    None with spike-ins: decoders then code other images than the encoder sees.
    """
    if experiment.config.spike_in:
        return []
    epochs, layers = bracket_epochs(experiment), experiment.layers
    return [
        coded_cell(experiment, run, cell, code.bits)
        for run in experiment.runs
        for cell, code in codes_of(experiment, run).items()
        if cell[0] in epochs and cell[1] in layers
    ]


def coded_cell(experiment: Experiment, run: Run, cell: tuple[int, str], bits: int) -> CodedCell:
    density = density_artifact(experiment, run, cell)
    code_lengths = Artifact(
        density.path.with_name("code_lengths.npz"),
        "code_lengths_of_codes",
        {"cell": cell_name(*cell)},
        {"density": density.identity} if density.status() == "complete" else {},
        run.encoder_seed,
    )
    return CodedCell(run, cell, layer_shapes(experiment, run)[cell[1]], bits, density, code_lengths)


def density_artifact(experiment: Experiment, run: Run, cell: tuple[int, str]) -> Artifact:
    """The record of a fitted density model."""
    settings = experiment.config.brackets
    config, inputs = cell_recipe(experiment, run, cell, density=settings.density, fitting=settings.fitting)
    path = experiment.folder / "code_densities" / run.key / cell_name(*cell).replace("/", "_") / "density.pt"
    return Artifact(path, "code_density", config, inputs, run.encoder_seed, algorithm="decoder")
