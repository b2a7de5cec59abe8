"""The cells whose layers are small enough to be counted, and the records of their counts."""

from __future__ import annotations

import math
from typing import NamedTuple

from ib_analysis.artifacts import Artifact
from ib_analysis.brackets.counted import LARGEST_LAYER_BITS
from ib_analysis.experiment import Experiment, Run, cell_name
from ib_analysis.records.cells import cell_recipe
from ib_analysis.records.codes import codes_of
from ib_analysis.records.encoders import layer_shapes

__all__ = ["CountedCell", "counted_cells"]


class CountedCell(NamedTuple):
    """A cell of codes of at most 12 bits in all.

    Arguments:
        units: codes of an image.
        bits: of a code.
        counts: the record of ``counts``, shape (values seen,): images of each value.
    """

    run: Run
    cell: tuple[int, str]
    units: int
    bits: int
    counts: Artifact


def counted_cells(experiment: Experiment) -> list[CountedCell]:
    """All cells, of every epoch, that are counted.

    None with spike-ins: decoders then code other images than the encoder sees.

    Raises:
        UserError: a run is not trained yet.
    """
    if experiment.config.spike_in:
        return []
    found = []
    for run in experiment.runs:
        small = {
            layer: units
            for layer, shape in layer_shapes(experiment, run).items()
            if (units := math.prod(shape)) <= LARGEST_LAYER_BITS
        }
        if not small:
            continue
        for cell, code in codes_of(experiment, run).items():
            units = small.get(cell[1], LARGEST_LAYER_BITS + 1)
            if units * code.bits <= LARGEST_LAYER_BITS and cell in experiment.cells:
                found.append(CountedCell(run, cell, units, code.bits, _artifact(experiment, run, cell)))
    return found


def _artifact(experiment: Experiment, run: Run, cell: tuple[int, str]) -> Artifact:
    path = experiment.folder / "counts" / run.key / f"{cell_name(*cell).replace('/', '_')}.npz"
    config, inputs = cell_recipe(experiment, run, cell)
    return Artifact(path, "counts", config, inputs, run.encoder_seed)
