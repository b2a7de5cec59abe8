"""From probes to the rows of `factors.csv`."""

from __future__ import annotations

from ib_analysis.experiment import Experiment
from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.table import FactorRow
from ib_analysis.records.arrays import load_arrays
from ib_analysis.records.images import images_of
from ib_analysis.records.probes import probe_artifact
from ib_analysis.tables.probe_bits import probe_bits

__all__ = ["factor_rows"]


def factor_rows(experiment: Experiment, bootstrap: Bootstrap) -> list[FactorRow]:
    """A row for every cell and factor.

    Raises:
        UserError: a probe is not finished.
    """
    data = images_of(experiment)
    rows = []
    for run in experiment.runs:
        for cell in experiment.cells:
            probes = load_arrays(probe_artifact(experiment, run, cell))
            for factor, true_bits in data.factor_bits.items():
                name = f"factor:{factor}"
                found = probe_bits(probes, name, true_bits, bootstrap)
                rows.append(
                    FactorRow(
                        experiment=experiment.config.name,
                        task=run.task,
                        number_format=run.number_format,
                        encoder_seed=run.encoder_seed,
                        epoch=cell[0],
                        layer=cell[1],
                        factor=factor,
                        true_bits=true_bits,
                        linear_bits=true_bits - float(probes[f"{name}/linear"].mean()),
                        mlp_bits=true_bits - float(probes[f"{name}/network"].mean()),
                        bits=found.estimate,
                        low=found.low,
                        high=found.high,
                    )
                )
    return rows
