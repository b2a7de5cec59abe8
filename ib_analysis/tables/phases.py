"""From code lengths to `phases.csv`: fitting and compression of every layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ib_analysis.artifacts import UserError
from ib_analysis.experiment import Experiment, cell_name
from ib_analysis.hdf5 import read_hdf5
from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.phases_table import CurveKey, PhaseRow, phase_rows
from ib_analysis.information.table import InformationRow, quantized_from, read_table, write_table

__all__ = ["code_length_curves", "write_phases"]


def write_phases(experiment: Experiment) -> None:
    """Write ``phases.csv`` from ``code_lengths.h5`` and ``information.csv``; equal bytes every time.

    Raises:
        UserError: one of the two is missing or damaged, or the table cannot be written.
    """
    estimation = experiment.config.estimation
    measured = read_table(experiment.folder / "information.csv", InformationRow)
    lengths, halfway = code_length_curves(experiment, measured)
    rows = phase_rows(
        experiment.config.name,
        lengths,
        {(_key(row), row.epoch): row.warnings for row in measured},
        Bootstrap(estimation.confidence, estimation.resamples),
        halfway,
    )
    write_table(experiment.folder / "phases.csv", PhaseRow, rows)


_Curves = dict[CurveKey, dict[int, np.ndarray]]


def code_length_curves(experiment: Experiment, measured: Sequence[InformationRow]) -> tuple[_Curves, _Curves]:
    """L of all cells at the end of their decoders' fits, and at half of the steps where it was measured.

    A run whose activations are quantized from some checkpoint on is another network before it: its curve begins there.

    Arguments:
        measured: rows of information.csv.

    Raises:
        UserError: ``code_lengths.h5`` is missing or damaged.
    """
    lengths, halfway = _code_lengths(experiment)
    start = {run: quantized_from(row for row in measured if _run(_key(row)) == run) for run in map(_run, lengths)}
    return {
        key: {epoch: of[epoch] for epoch in of if epoch >= start[_run(key)]} for key, of in lengths.items()
    }, halfway


def _code_lengths(experiment: Experiment) -> tuple[_Curves, _Curves]:
    path = experiment.folder / "code_lengths.h5"
    found: _Curves = {}
    halfway: _Curves = {}
    try:
        with read_hdf5(path) as file:
            for fit in experiment.fits:
                if fit.run is None:
                    continue
                run = fit.run
                for epoch, layer in fit.cells:
                    key = CurveKey(run.task, run.number_format, layer, run.encoder_seed, fit.decoder_seed)
                    name = f"{fit.key}/{cell_name(epoch, layer)}"
                    found.setdefault(key, {})[epoch] = file[name][()]
                    if f"halfway/{name}" in file:
                        halfway.setdefault(key, {})[epoch] = file[f"halfway/{name}"][()]
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run `ib estimate-mi {experiment.config.name}` first.") from error
    except (OSError, KeyError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); delete it and run `ib estimate-mi {experiment.config.name}` again."
        ) from error
    return found, halfway


def _key(row: InformationRow) -> CurveKey:
    return CurveKey(row.task, row.number_format, row.layer, row.encoder_seed, row.decoder_seed)


def _run(key: CurveKey) -> tuple[str, str, int]:
    return key.task, key.number_format, key.encoder_seed
