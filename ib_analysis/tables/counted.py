"""From counts and information.csv to `counted.csv`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ib_analysis.brackets.plug_in import plug_in
from ib_analysis.experiment import Experiment
from ib_analysis.information.counted_table import CountedRow, agreement
from ib_analysis.information.intervals import Interval
from ib_analysis.information.table import InformationRow, write_table
from ib_analysis.records.arrays import load_arrays
from ib_analysis.records.counts import CountedCell, counted_cells

__all__ = ["COUNTED", "write_counted"]

COUNTED = "counted.csv"


def write_counted(experiment: Experiment, rows: Sequence[InformationRow]) -> None:
    """Write ``counted.csv`` where there are layers that are counted, and remove one that is there without any.

    Arguments:
        rows: of information.csv.
    """
    cells = {
        (found.run.task, found.run.number_format, found.run.encoder_seed, *found.cell): found
        for found in counted_cells(experiment)
    }
    keys = [(row.task, row.number_format, row.encoder_seed, row.epoch, row.layer) for row in rows]
    found = [_row(row, cells[key]) for row, key in zip(rows, keys, strict=True) if key in cells]
    if found:
        write_table(experiment.folder / COUNTED, CountedRow, found)
    else:
        (experiment.folder / COUNTED).unlink(missing_ok=True)


def _row(row: InformationRow, cell: CountedCell) -> CountedRow:
    counted = plug_in(load_arrays(cell.counts)["counts"], cell.units * cell.bits)
    usable = Interval(row.i_xh_bits, row.i_xh_bits_low, row.i_xh_bits_high)
    lower = None
    if row.lower_bound_bits is not None:
        assert row.lower_bound_bits_low is not None
        assert row.lower_bound_bits_high is not None
        lower = Interval(row.lower_bound_bits, row.lower_bound_bits_low, row.lower_bound_bits_high)
    return CountedRow(
        experiment=row.experiment,
        task=row.task,
        number_format=row.number_format,
        encoder_seed=row.encoder_seed,
        decoder_seed=row.decoder_seed,
        epoch=row.epoch,
        layer=row.layer,
        units=cell.units,
        code_bits=cell.bits,
        n_images=counted.n_images,
        n_values=counted.n_values,
        log2_images_bits=math.log2(counted.n_images),
        plug_in_bits=counted.entropy.estimate,
        plug_in_bits_low=counted.entropy.low,
        plug_in_bits_high=counted.entropy.high,
        bias_bits=counted.bias_bits,
        saturated=int(counted.saturated),
        lower_bits=row.lower_bound_bits,
        lower_bits_low=row.lower_bound_bits_low,
        lower_bits_high=row.lower_bound_bits_high,
        i_xh_bits=row.i_xh_bits,
        i_xh_bits_low=row.i_xh_bits_low,
        i_xh_bits_high=row.i_xh_bits_high,
        agreement=agreement(counted.entropy, counted.saturated, usable, lower),
    )
