"""What spike-ins add to a row of information.csv."""

from __future__ import annotations

from typing import Any

import numpy as np

from ib_analysis.experiment import Experiment, Fit
from ib_analysis.fits.feed import Reading
from ib_analysis.information.change import weighty
from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.spike_ins import recovered_fraction
from ib_analysis.records.arrays import load_arrays
from ib_analysis.records.code_lengths import code_length_artifact
from ib_analysis.records.decoders import decoder_artifact, readings_of

__all__ = ["spike_in_columns", "spike_in_warnings"]


def spike_in_columns(experiment: Experiment, fit: Fit, cell: tuple[int, str], bootstrap: Bootstrap) -> dict[str, Any]:
    """The fractions of a cell's coins that its decoder finds, by column; empty without spike-ins."""
    count = experiment.config.spike_in
    if not count:
        return {}

    def bits(reading: Reading) -> np.ndarray:
        return load_arrays(code_length_artifact(experiment, fit, reading.name))["bits"]

    columns: dict[str, Any] = {"spike_in_bits": float(count)}
    for reading in _with_coins(experiment, fit, cell):
        found = recovered_fraction(bits(Reading(cell)), bits(reading), count, bootstrap)
        name = f"{reading.variant}_recovered"
        columns |= {name: found.estimate, f"{name}_low": found.low, f"{name}_high": found.high}
    return columns


def spike_in_warnings(
    experiment: Experiment, fit: Fit, cell: tuple[int, str], change_is_measured: bool = False
) -> list[str]:
    """Whether the fit had not converged where the cell is read with coins.

    Arguments:
        change_is_measured: look for nothing that is a note then (see `ib_analysis.information.change`).
    """
    named = decoder_artifact(experiment, fit).record["cell_warnings"]
    readings = _with_coins(experiment, fit, cell)
    found = any(weighty(named[one.condition], change_is_measured) for one in readings)
    return ["spike_in_not_converged"] if found else []


def _with_coins(experiment: Experiment, fit: Fit, cell: tuple[int, str]) -> list[Reading]:
    return [one for one in readings_of(experiment, fit) if one.cell == cell and one.variant != "plain"]
