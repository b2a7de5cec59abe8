"""From the code lengths of an experiment and of longer fits to convergence.csv and convergence_phases.csv."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from decoders.fitting.certificate import Certificate
from decoders.fitting.warnings import TRAINING_TOO_SHORT_TO_TELL
from ib_analysis.artifacts import Artifact, plain, sha256_of_file, sha256_of_plain
from ib_analysis.experiment import cell_name
from ib_analysis.information.change import WIDENING, outside, weighty
from ib_analysis.information.intervals import Bootstrap, Interval
from ib_analysis.information.phases_table import CurveKey, PhaseRow, phase_rows
from ib_analysis.information.table import InformationRow, read_table, write_table
from ib_analysis.information.warnings import join_warnings
from ib_analysis.records.code_lengths import code_length_bits
from ib_analysis.records.decoders import decoder_artifact
from ib_analysis.studies.convergence.config import ConvergenceConfig
from ib_analysis.studies.convergence.judge import added_information, within_change
from ib_analysis.studies.convergence.plan import LongerFit
from ib_analysis.studies.convergence.rows import ConvergencePhaseRow, ConvergenceRow
from ib_analysis.studies.extra_fits import ExtraFits
from ib_analysis.tables.certificates import certificates_of

__all__ = ["cell_row", "cell_table", "phase_row", "phase_table", "phases_path", "table_path"]


def table_path(study: ExtraFits) -> Path:
    """Where convergence.csv lies."""
    return study.folder / "convergence.csv"


def phases_path(study: ExtraFits) -> Path:
    """Where convergence_phases.csv lies."""
    return study.folder / "convergence_phases.csv"


def cell_table(study: ExtraFits, plan: Sequence[LongerFit], settings: ConvergenceConfig) -> list[ConvergenceRow]:
    """Write convergence.csv unless it is there and made of the same numbers; return its rows.

    Raises:
        UserError: something is not measured yet.
    """
    artifact = _artifact(study, plan, settings, table_path(study), "convergence_table")
    if artifact.status() != "complete":
        artifact.begin()
        measured = read_table(study.experiment.folder / "information.csv", InformationRow)
        known = {(_key(row), row.epoch): row for row in measured}
        rows = [row for item in plan for row in _cell_rows(study, item, known)]
        write_table(artifact.path, ConvergenceRow, rows)
        artifact.finish()
    return read_table(artifact.path, ConvergenceRow)


def phase_table(study: ExtraFits, plan: Sequence[LongerFit], settings: ConvergenceConfig) -> list[ConvergencePhaseRow]:
    """The same for convergence_phases.csv; no rows where there is one epoch.

    Raises:
        UserError: something is not measured yet.
    """
    artifact = _artifact(study, plan, settings, phases_path(study), "convergence_phases")
    if artifact.status() != "complete":
        artifact.begin()
        measured = read_table(study.experiment.folder / "phases.csv", PhaseRow)
        known = {key: row for row in measured if (key := _phase_key(row)) is not None}
        write_table(artifact.path, ConvergencePhaseRow, _phase_rows(study, plan, known))
        artifact.finish()
    return read_table(artifact.path, ConvergencePhaseRow)


def _artifact(
    study: ExtraFits, plan: Sequence[LongerFit], settings: ConvergenceConfig, path: Path, kind: str
) -> Artifact:
    # Settings are inputs and no config: with other ones the tables are made again, which costs nothing.
    inputs = {"settings": sha256_of_plain({"convergence": plain(settings), **study.experiment.section("estimation")})}
    inputs |= {name: sha256_of_file(study.experiment.folder / name) for name in ("code_lengths.h5", "information.csv")}
    inputs |= {"phases.csv": sha256_of_file(study.experiment.folder / "phases.csv")}
    for item in plan:
        artifacts = study.code_length_artifacts(item.longer)
        inputs |= {f"{item.longer.key}/{name}": artifact.identity for name, artifact in artifacts.items()}
    return Artifact(path, kind, study.experiment.section("name"), inputs, algorithm="tables")


def _bootstrap(study: ExtraFits) -> Bootstrap:
    estimation = study.experiment.config.estimation
    return Bootstrap(estimation.confidence, estimation.resamples)


# ---------------------------------------------------------------------------------------------- cells


def _cell_rows(
    study: ExtraFits, item: LongerFit, known: dict[tuple[CurveKey, int], InformationRow]
) -> list[ConvergenceRow]:
    experiment, record = study.experiment, study.record(item.longer)
    own = decoder_artifact(experiment, item.own).path
    certificates = certificates_of(own, experiment.config.estimation.confidence)
    factor = item.longer.fitting.steps / experiment.fitting.steps
    rows = []
    for epoch, layer in item.cells:
        name = cell_name(epoch, layer)
        rows.append(
            cell_row(
                known[_curve(item, layer), epoch],
                code_length_bits(experiment, item.own, name),
                study.code_lengths(item.longer, name),
                int(record["steps_done"]),
                record["cell_warnings"][name],
                certificates[name],
                factor,
                _bootstrap(study),
            )
        )
    return rows


def cell_row(
    row: InformationRow,
    code_lengths: np.ndarray,
    longer: np.ndarray,
    longer_steps: int,
    longer_warnings: Sequence[str],
    certificate: Certificate,
    factor: float,
    bootstrap: Bootstrap,
) -> ConvergenceRow:
    """Hold a cell's number against that of a longer fit.

    Arguments:
        row: of information.csv, of a fit that ended twice.
        code_lengths, longer: shape (N,): L of the same images in bits, by the experiment's fit and by the longer one.
        longer_steps: that it took.
        longer_warnings: of its fit.
        certificate: of the experiment's fit.
        factor: by which the longer one is longer.
        bootstrap: of the paired interval.

    Raises:
        ValueError: the fit ended once, or the arrays do not describe the same images.
    """
    change, high = row.information_change_bits, row.information_high_with_change
    if change is None or high is None:
        raise ValueError("the change of a fit that ended once is not known.")
    added = added_information(code_lengths, longer, bootstrap)
    information = row.i_xh_bits + added.estimate
    beyond = outside(information, row.i_xh_bits_low, high)
    gain, exponent = certificate.bits_to_gain, certificate.exponent
    told = gain is not None and exponent is not None
    return ConvergenceRow(
        experiment=row.experiment,
        task=row.task,
        number_format=row.number_format,
        encoder_seed=row.encoder_seed,
        decoder_seed=row.decoder_seed,
        epoch=row.epoch,
        layer=row.layer,
        decoder=row.decoder,
        n_images=len(longer),
        steps=row.decoder_steps,
        longer_steps=longer_steps,
        i_xh_bits=row.i_xh_bits,
        i_xh_bits_low=row.i_xh_bits_low,
        i_xh_bits_high=row.i_xh_bits_high,
        information_change_bits=change,
        information_high_with_change=high,
        longer_i_xh_bits=information,
        added_bits=added.estimate,
        added_bits_low=added.low,
        added_bits_high=added.high,
        contained=_word(beyond == 0),
        outside_bits=beyond,
        within_change=_word(within_change(added, change)),
        bits_to_gain=gain if told else None,
        bits_to_gain_high=certificate.bits_to_gain_high if told else None,
        # b(t) = b_inf + g (t / T)^-c, from t = T to t = factor T (`decoders.fitting.certificate`)
        bits_to_gain_here=gain * (1 - factor**-exponent) if gain is not None and exponent is not None else None,
        certificate_holds=_word(added.low <= certificate.bits_to_gain_high) if told else "",
        warnings=row.warnings,
        # That its code lengths still fall, or that nobody can tell, is no doubt about what it has found.
        longer_warnings=join_warnings(set(weighty(longer_warnings, True)) - {TRAINING_TOO_SHORT_TO_TELL}),
    )


# ---------------------------------------------------------------------------------------------- phases


def _phase_rows(
    study: ExtraFits, plan: Sequence[LongerFit], known: dict[CurveKey, PhaseRow]
) -> list[ConvergencePhaseRow]:
    curves: dict[CurveKey, dict[int, np.ndarray]] = {}
    for item in plan:
        for epoch, layer in item.cells:
            lengths = study.code_lengths(item.longer, cell_name(epoch, layer))
            curves.setdefault(_curve(item, layer), {})[epoch] = lengths
    rows = []
    for key, curve in curves.items():
        if key in known:
            own = known[key]
            # A quantized network's phases begin where its activations are quantized.
            later = {epoch: lengths for epoch, lengths in curve.items() if epoch >= own.first_epoch}
            (longer,) = phase_rows(own.experiment, {key: later}, bootstrap=_bootstrap(study))
            rows.append(phase_row(key, own, longer))
    return rows


def phase_row(key: CurveKey, own: PhaseRow, longer: PhaseRow) -> ConvergencePhaseRow:
    """Hold a layer's phases against those by a longer fit.

    Raises:
        ValueError: the fits ended once.
    """
    if own.gain_change_bits is None or own.loss_change_bits is None:
        raise ValueError("the change of fits that ended once is not known.")
    gain = _widened(own.fitting_gain_bits_low, own.fitting_gain_bits_high, own.gain_change_bits)
    loss = _widened(own.compression_loss_bits_low, own.compression_loss_bits_high, own.loss_change_bits)
    gain_beyond = outside(longer.fitting_gain_bits, gain.low, gain.high)
    loss_beyond = outside(longer.compression_loss_bits, loss.low, loss.high)
    return ConvergencePhaseRow(
        experiment=own.experiment,
        task=key.task,
        number_format=key.number_format,
        encoder_seed=key.encoder_seed,
        decoder_seed=key.decoder_seed,
        layer=key.layer,
        peak_epoch=own.peak_epoch,
        longer_peak_epoch=longer.peak_epoch,
        gain_bits=own.fitting_gain_bits,
        gain_bits_low=gain.low,
        gain_bits_high=gain.high,
        gain_change_bits=own.gain_change_bits,
        longer_gain_bits=longer.fitting_gain_bits,
        gain_contained=_word(gain_beyond == 0),
        gain_outside_bits=gain_beyond,
        loss_bits=own.compression_loss_bits,
        loss_bits_low=loss.low,
        loss_bits_high=loss.high,
        loss_change_bits=own.loss_change_bits,
        longer_loss_bits=longer.compression_loss_bits,
        loss_contained=_word(loss_beyond == 0),
        loss_outside_bits=loss_beyond,
        verdict=own.verdict,
        longer_verdict=longer.verdict,
        same_verdict=_word(own.verdict == longer.verdict),
        warnings=own.warnings,
    )


def _widened(low: float, high: float, change: float) -> Interval:
    """To both sides: differences of two numbers may move either way."""
    farther = WIDENING * abs(change)
    return Interval((low + high) / 2, low - farther, high + farther)


# ---------------------------------------------------------------------------------------------- keys


def _curve(item: LongerFit, layer: str) -> CurveKey:
    run = item.run
    return CurveKey(run.task, run.number_format, layer, run.encoder_seed, item.own.decoder_seed)


def _key(row: InformationRow) -> CurveKey:
    return CurveKey(row.task, row.number_format, row.layer, row.encoder_seed, row.decoder_seed)


def _phase_key(row: PhaseRow) -> CurveKey | None:
    """None of a row over seeds."""
    if row.encoder_seed is None or row.decoder_seed is None:
        return None
    return CurveKey(row.task, row.number_format, row.layer, row.encoder_seed, row.decoder_seed)


def _word(holds: bool) -> str:
    return "yes" if holds else "no"
