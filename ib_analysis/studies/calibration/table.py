"""From code lengths and truths to calibration.csv, and to the lines that are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ib_analysis.fits.feed import name_of
from ib_analysis.information.change import (
    WIDENING,
    high_with_change,
    information_change_bits,
    information_still_moving,
    outside,
    weighty,
)
from ib_analysis.information.estimates import lower_bound, usable_information
from ib_analysis.information.intervals import Bootstrap, paired_bootstrap_intervals
from ib_analysis.information.table import read_table, write_table
from ib_analysis.information.tolerance import tolerance_bits
from ib_analysis.information.warnings import (
    common_null_warnings,
    information_above_upper_bound,
    join_warnings,
    not_finite,
    own_null_much_worse_than_common,
)
from ib_analysis.records.arrays import load_arrays
from ib_analysis.records.common_null import ABOUT_BASES
from ib_analysis.studies.calibration.channels import channel_of
from ib_analysis.studies.calibration.outputs import Cell
from ib_analysis.studies.calibration.plan import NULL, NULL_VALIDATION, Calibration, SourceFit
from ib_analysis.studies.calibration.rows import CalibrationRow

__all__ = ["summary", "tabulate"]


def tabulate(calibration: Calibration) -> list[CalibrationRow]:
    """Write ``calibration.csv`` unless it is there and made of the same code lengths; return its rows.

    Raises:
        UserError: something is not measured yet, or was made with another config.
    """
    artifact = calibration.table_artifact()
    if artifact.status() != "complete":
        artifact.begin()
        rows = []
        for fit in calibration.fits:
            null = _common_null(calibration, fit)
            rows += [_row(calibration, fit, cell, null) for cell in calibration.cells_of(fit)]
        rows.sort(key=lambda row: (row.source, row.symbol_bits, row.channel, row.parameter, row.decoder_seed))
        write_table(artifact.path, CalibrationRow, rows)
        artifact.finish()
    return read_table(artifact.path, CalibrationRow)


def summary(rows: Sequence[CalibrationRow]) -> str:
    """The table for a reader: truth, estimates with their errors, and the errors of both code lengths, in bits."""
    lines = [
        "Bits: true (realised), usable information mean(L0 - L) [95 % interval], lower bound H(X) - mean(L), and what "
        "both codes waste.",
        f"{'source':8s} {'symbols':>8s}  {'channel':13s} {'true':>9s} {'estimated':>9s} {'interval':>20s} "
        f"{'error':>8s} {'bound':>9s} {'error':>8s} {'L-H(X|H)':>9s} {'L0-H(X)':>8s}  within max(2 %, 0.5)",
    ]
    for row in rows:
        interval = f"[{row.estimated_bits_low:.2f}, {row.estimated_bits_high:.2f}]"
        lines.append(
            f"{row.source:8s} {row.symbol_bits:8.1f}  {row.channel:7s} {row.parameter:5.3f} {row.true_bits:9.2f} "
            f"{row.estimated_bits:9.2f} {interval:>20s} {row.estimated_error_bits:+8.2f} {row.lower_bound_bits:9.2f} "
            f"{row.lower_bound_error_bits:+8.2f} {row.code_length_error_bits:+9.2f} "
            f"{row.null_code_length_error_bits:+8.2f}  {row.estimated_within}, bound {row.lower_bound_within}"
            + (f"  ({row.warnings})" if row.warnings else "")
        )
    estimated = sum(row.estimated_within == "yes" for row in rows)
    bounds = sum(row.lower_bound_within == "yes" for row in rows)
    lines.append(f"Within max(2 %, 0.5 bit): {estimated} of {len(rows)} estimates, {bounds} of {len(rows)} bounds.")
    return "\n".join([*lines, *_widened(rows)])


def _widened(rows: Sequence[CalibrationRow]) -> list[str]:
    """How often the truth lies in the intervals that the change widens, where it was measured."""
    told = [row for row in rows if row.truth_outside_bits is not None]
    if not told:
        return []
    quiet = [row for row in told if not row.warnings]
    kept, kept_quiet = (sum(row.contains_truth == "yes" for row in some) for some in (told, quiet))
    farthest = max(told, key=lambda row: abs(row.truth_outside_bits or 0.0))
    return [
        f"Intervals widened by {WIDENING:g} times the change contain the truth: {kept} of {len(told)}, of those "
        f"without a warning {kept_quiet} of {len(quiet)}; farthest outside: {farthest.truth_outside_bits:+.3f} bits "
        f"({farthest.source}, {farthest.symbol_bits:.1f} bits, {farthest.channel} {farthest.parameter:g})."
    ]


def _bits(calibration: Calibration, fit: SourceFit, what: str) -> np.ndarray:
    return load_arrays(calibration.code_length_artifact(fit, what))["bits"]


@dataclass(frozen=True)
class _Null:
    """L0 of a source: bits of each evaluation image, shape (N,), and what its fit warns of."""

    bits: np.ndarray
    warnings: tuple[str, ...]


def _common_null(calibration: Calibration, fit: SourceFit) -> _Null:
    """The null condition, of all decoders of the source, that is best on the validation images; readers': the base."""
    candidates = calibration.null_fits(fit)
    best = min(candidates, key=lambda other: float(_bits(calibration, other, NULL_VALIDATION).mean()))
    record = calibration.decoder_artifact(best).record
    warnings = [name for name in record["null_warnings"] if best.role != "base" or name not in ABOUT_BASES]
    return _Null(_bits(calibration, best, NULL), tuple(warnings))


def _row(calibration: Calibration, fit: SourceFit, cell: Cell, common_null: _Null) -> CalibrationRow:
    config, source, (thousandths, kind) = calibration.config, fit.source, cell
    bootstrap = Bootstrap(config.confidence, config.resamples)
    measured = calibration.code_length_artifact(fit, name_of(cell))
    arrays = load_arrays(measured)
    lengths, density = arrays["bits"], arrays["information_bits"]
    null = common_null.bits
    own_null = null if fit.role == "reader" else _bits(calibration, fit, NULL)
    h_x, true_bits = source.h_x_bits, float(density.mean())
    usable, bound = usable_information(null, lengths, bootstrap), lower_bound(h_x, lengths, bootstrap)
    # Every image that can occur has probability 2^-H(X), so that its ideal code lengths are H(X) and H(X) - density.
    error, wasted, null_wasted = paired_bootstrap_intervals(
        np.stack([null - lengths - density, lengths - (h_x - density), null - h_x]), bootstrap
    )
    record, shape = calibration.decoder_artifact(fit).record, calibration.outputs(source).shape(kind)
    change = information_change_bits(lengths, arrays["halfway_bits"]) if "halfway_bits" in arrays else None

    def of_fits(change_is_measured: bool) -> list[str]:
        own, theirs = record["cell_warnings"][name_of(cell)], common_null.warnings
        return [*weighty(own, change_is_measured), *common_null_warnings(weighty(theirs, change_is_measured))]

    found = of_fits(change is not None)
    notes = join_warnings(set(of_fits(False)) - set(found))
    if change is not None and information_still_moving(usable, change):
        found.append("information_still_moving")
    widened = None if change is None else high_with_change(usable, change)
    beyond = None if widened is None else outside(true_bits, usable.low, widened)
    if not_finite([usable, bound]):
        found.append("not_finite")
    if own_null_much_worse_than_common(null, own_null, bootstrap):
        found.append("own_null_much_worse_than_common")
    if information_above_upper_bound([usable, bound], {"H(X)": h_x}):
        found.append("information_above_upper_bound")
    bound_error = bound.estimate - true_bits
    return CalibrationRow(
        experiment=config.name,
        source=source.name.split("_")[0],
        symbol_bits=float(np.log2(source.levels).sum()),
        channel=kind,
        parameter=thousandths / 1000,
        decoder_seed=fit.decoder_seed,
        channels=shape[0],
        height=shape[1] if len(shape) == 3 else 1,
        width=shape[2] if len(shape) == 3 else 1,
        n_images=len(lengths),
        h_x_bits=h_x,
        h_x_given_h_bits=h_x - true_bits,
        true_bits=true_bits,
        expected_bits=channel_of(kind, thousandths).mutual_information_bits(source.levels),
        estimated_bits=usable.estimate,
        estimated_bits_low=usable.low,
        estimated_bits_high=usable.high,
        estimated_error_bits=error.estimate,
        estimated_error_bits_low=error.low,
        estimated_error_bits_high=error.high,
        estimated_relative_error=_share(error.estimate, true_bits),
        estimated_within=_within(error.estimate, true_bits),
        lower_bound_bits=bound.estimate,
        lower_bound_bits_low=bound.low,
        lower_bound_bits_high=bound.high,
        lower_bound_error_bits=bound_error,
        lower_bound_relative_error=_share(bound_error, true_bits),
        lower_bound_within=_within(bound_error, true_bits),
        code_length_bits=float(lengths.mean()),
        null_code_length_bits=float(null.mean()),
        own_null_code_length_bits=float(own_null.mean()),
        code_length_error_bits=wasted.estimate,
        code_length_error_bits_low=wasted.low,
        code_length_error_bits_high=wasted.high,
        null_code_length_error_bits=null_wasted.estimate,
        null_code_length_error_bits_low=null_wasted.low,
        null_code_length_error_bits_high=null_wasted.high,
        decoder=fit.key,
        decoder_steps=int(record["steps_done"]),
        seconds=float(record["seconds"]) / len(calibration.cells_of(fit)) + float(measured.record["seconds"]),
        warnings=join_warnings(found),
        decoder_sha256=calibration.decoder_artifact(fit).identity,
        information_change_bits=change,
        estimated_high_with_change=widened,
        contains_truth="" if beyond is None else ("yes" if beyond == 0 else "no"),
        truth_outside_bits=beyond,
        notes=notes,
    )


def _share(error: float, true_bits: float) -> float | None:
    return error / true_bits if true_bits > 0 else None


def _within(error: float, true_bits: float) -> str:
    return "yes" if abs(error) <= tolerance_bits(true_bits) else "no"
