"""From each decoder's learning curve and manifest to `certificates.csv`; nothing of the decoder is touched."""

from __future__ import annotations

import csv
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from decoders.fitting.certificate import Certificate, certify
from decoders.fitting.schedule import FittingConfig, cooldown_start
from ib_analysis.artifacts import Artifact, UserError
from ib_analysis.experiment import BASE, Experiment, Fit
from ib_analysis.information.certificates_table import CertificateRow
from ib_analysis.information.table import write_table
from ib_analysis.information.warnings import join_warnings
from ib_analysis.records.decoders import decoder_artifact, halfway_sha256
from ib_analysis.records.joint import decoder_key, name_in_decoder

__all__ = ["NULL_CONDITION", "certificates_of", "write_certificates"]

NULL_CONDITION = "null"


def certificates_of(decoder: Path, confidence: float = 0.95) -> dict[str, Certificate]:
    """Certificates of one fitted decoder: of each of its cells by name, and of its null condition (`NULL_CONDITION`).

    Arguments:
        decoder: ``decoder.pt``; its manifest and ``curve.csv`` lie beside it.
        confidence: of the intervals.

    Raises:
        UserError: one of the two is missing or damaged.
    """
    record, curve = _record(decoder), _curve(decoder.with_name("curve.csv"))
    settings = record["recipe"]["config"]["fitting"]
    # Only the settings that there still are: a record of before may name others.
    known = {field.name: settings[field.name] for field in fields(FittingConfig) if field.name in settings}
    steady_until = cooldown_start(FittingConfig(**{**known, "betas": tuple(settings["betas"])}))
    columns = {name: name for name in record["cell_warnings"]} | {NULL_CONDITION: "validation_null_bits"}
    warnings = record["cell_warnings"] | {NULL_CONDITION: record["null_warnings"]}
    try:
        return {
            name: certify(
                [int(step) for step in curve["step"]],
                [float(bits) for bits in curve[column]],
                best_step=record["best_step"],
                steps_done=record["steps_done"],
                early_stopped=record["early_stopped"],
                steady_until=steady_until,
                warnings=warnings[name],
                confidence=confidence,
            )
            for name, column in columns.items()
        }
    except (KeyError, ValueError, TypeError) as error:
        raise _unreadable(decoder.with_name("curve.csv")) from error


def write_certificates(experiment: Experiment, null_source: str) -> None:
    """Write ``certificates.csv``; the same bytes from the same curves.

    Arguments:
        null_source: key of the decoder whose null condition is the common L0.

    Raises:
        UserError: a curve is missing or damaged, or the table cannot be written.
    """
    # The base's curve lies beside it: it is no experiment's own. Of fits that end twice the change is measured on what
    # is reported, and no law has to predict it from code lengths.
    fits = [fit for fit in experiment.fits if fit.key != BASE and halfway_sha256(experiment, fit) is None]
    rows = [row for fit in fits for row in _rows(experiment, fit, null_source)]
    write_table(experiment.folder / "certificates.csv", CertificateRow, rows)


def _rows(experiment: Experiment, fit: Fit, null_source: str) -> list[CertificateRow]:
    artifact: Artifact = decoder_artifact(experiment, fit)
    found = certificates_of(artifact.path, experiment.config.estimation.confidence)
    rows = [_row(experiment, fit, cell, found[name_in_decoder(fit, cell)], "no") for cell in fit.cells]
    if fit.run is None or experiment.fitting.null_share > 0:  # else its null condition was never fitted
        serves = "yes" if fit.key == null_source else "no"
        rows.append(_row(experiment, fit, None, found[NULL_CONDITION], serves))
    return rows


def _row(
    experiment: Experiment, fit: Fit, cell: tuple[int, str] | None, found: Certificate, serves: str
) -> CertificateRow:
    return CertificateRow(
        experiment=experiment.config.name,
        task=fit.run.task if fit.run else "",
        number_format=fit.run.number_format if fit.run else "",
        encoder_seed=fit.run.encoder_seed if fit.run else None,
        decoder_seed=fit.decoder_seed,
        decoder=decoder_key(experiment, fit),
        epoch=cell[0] if cell else None,
        layer=cell[1] if cell else NULL_CONDITION,
        serves_as_l0=serves,
        reached_bits=found.reached_bits,
        bits_to_gain=found.bits_to_gain,
        bits_to_gain_low=found.bits_to_gain_low,
        bits_to_gain_high=found.bits_to_gain_high,
        asymptote_bits=found.asymptote_bits,
        asymptote_bits_low=found.asymptote_bits_low,
        asymptote_bits_high=found.asymptote_bits_high,
        steady_asymptote_bits=found.steady_asymptote_bits,
        exponent=found.exponent,
        steady_start=found.steady_start,
        steady_end=found.steady_end,
        early_stopped="yes" if found.early_stopped else "no",
        steps_done=found.steps_done,
        best_step=found.best_step,
        warnings=join_warnings(found.warnings),
    )


def _record(decoder: Path) -> dict[str, Any]:
    return json.loads(decoder.with_name(decoder.name + ".json").read_text())


def _curve(path: Path) -> dict[str, list[str]]:
    """Columns of a learning curve, by name."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *lines = list(csv.reader(file))
        return {name: list(column) for name, column in zip(header, zip(*lines, strict=True), strict=True)}
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> UserError:
    return UserError(
        f"{path}, the learning curve of a decoder, is missing or damaged; delete the folder {path.parent} and run the "
        "same command again to fit this decoder anew."
    )
