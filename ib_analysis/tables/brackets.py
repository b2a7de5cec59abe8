"""From code lengths of images and of codes to `brackets.csv`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ib_analysis.experiment import Experiment, Run
from ib_analysis.information.brackets_table import BracketRow, tightest
from ib_analysis.information.intervals import Bootstrap, Interval, paired_bootstrap_intervals
from ib_analysis.information.table import InformationRow, write_table
from ib_analysis.information.warnings import join_warnings
from ib_analysis.records.arrays import load_arrays
from ib_analysis.records.densities import CodedCell, coded_cells

__all__ = ["BRACKETS", "write_brackets"]

BRACKETS = "brackets.csv"


def write_brackets(
    experiment: Experiment, rows: Sequence[InformationRow], null_bits: np.ndarray, bootstrap: Bootstrap
) -> None:
    """Write ``brackets.csv`` where there are cells made of codes, and remove one that is there without any.

    Arguments:
        rows: of information.csv.
        null_bits: shape (N,), the common L0 of the evaluation images.
        bootstrap: of the intervals.
    """
    cells = {(found.run.key, *found.cell): found for found in coded_cells(experiment)}
    # From input to output, so that a layer's upper end is known where later ones are at most as informed.
    depth = {key: place for place, key in enumerate(cells)}
    coded = [(_key(row), row) for row in rows if _key(row) in cells]
    passed: dict[tuple[str, int, int], dict[str, Interval]] = {}  # bottlenecks so far: layer -> upper end
    brackets = {}
    for key, row in sorted(coded, key=lambda pair: depth[pair[0]]):
        earlier = passed.setdefault((key[0], row.epoch, row.decoder_seed), {})
        found = _row(row, cells[key], null_bits, earlier, bootstrap)
        brackets[key, row.decoder_seed] = found
        if found.code_is_bottleneck:
            earlier[row.layer] = _upper(found)
    if brackets:
        in_order = [brackets[key, row.decoder_seed] for key, row in coded]
        write_table(experiment.folder / BRACKETS, BracketRow, in_order)
    else:
        (experiment.folder / BRACKETS).unlink(missing_ok=True)


def _key(row: InformationRow) -> tuple[str, int, str]:
    run = Run(row.task, row.number_format, row.encoder_seed)
    return run.key, row.epoch, row.layer


def _upper(row: BracketRow) -> Interval:
    return Interval(row.upper_bits, row.upper_bits_low, row.upper_bits_high)


def _row(
    row: InformationRow,
    found: CodedCell,
    null_bits: np.ndarray,
    earlier: Mapping[str, Interval],
    bootstrap: Bootstrap,
) -> BracketRow:
    arrays = load_arrays(found.code_lengths)
    units = math.prod(found.shape)
    capacity = float(units * found.bits)
    null, entropy, density = paired_bootstrap_intervals(
        np.stack([null_bits, arrays["entropy_code"], arrays["density"]]), bootstrap
    )
    ends = {"capacity": _exact(capacity), "null_code_length": null}
    ends |= {"h_x": _exact(row.h_x_bits)} if row.h_x_bits is not None else {}
    ends |= {"entropy_code": entropy, "density": density}
    before, end = tightest(earlier) if earlier else ("", None)
    ends |= {} if end is None else {"earlier_layer": end}
    name, upper = tightest(ends)
    counted = arrays.get("counted")
    return BracketRow(
        experiment=row.experiment,
        task=row.task,
        number_format=row.number_format,
        encoder_seed=row.encoder_seed,
        decoder_seed=row.decoder_seed,
        epoch=row.epoch,
        layer=row.layer,
        units=units,
        code_bits=found.bits,
        code_is_bottleneck=row.code_is_bottleneck,
        capacity_bits=capacity,
        **_columns("null_code_length_bits", null),
        h_x_bits=row.h_x_bits,
        **_columns("entropy_code_bits", entropy),
        **_columns("density_bits", density),
        density_warnings=join_warnings(found.density.record["warnings"]),
        earlier_layer=before,
        earlier_layer_bits=None if end is None else end.estimate,
        earlier_layer_bits_low=None if end is None else end.low,
        earlier_layer_bits_high=None if end is None else end.high,
        upper_bits=upper.estimate,
        upper_bits_low=upper.low,
        upper_bits_high=upper.high,
        upper_end=name,
        lower_bits=row.lower_bound_bits,
        lower_bits_low=row.lower_bound_bits_low,
        lower_bits_high=row.lower_bound_bits_high,
        width_bits=None if row.lower_bound_bits is None else upper.estimate - max(row.lower_bound_bits, 0.0),
        counted_bits=None if counted is None else float(counted[0]),
        counted_bits_low=None if counted is None else float(counted[1]),
        counted_bits_high=None if counted is None else float(counted[2]),
        i_xh_bits=row.i_xh_bits,
        i_xh_bits_low=row.i_xh_bits_low,
        i_xh_bits_high=row.i_xh_bits_high,
        i_hy_bits=row.i_hy_bits,
        warnings=row.warnings,
    )


def _exact(bits: float) -> Interval:
    return Interval(bits, bits, bits)


def _columns(name: str, found: Interval) -> Mapping[str, float]:
    return {name: found.estimate, f"{name}_low": found.low, f"{name}_high": found.high}
