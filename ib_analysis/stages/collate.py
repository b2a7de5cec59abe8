"""From the small files of all cells to `code_lengths.h5`, `information.csv` and `factors.csv`."""

from __future__ import annotations

from ib_analysis.artifacts import Artifact, sha256_of_file, sha256_of_plain
from ib_analysis.encoders import stream_pairs
from ib_analysis.experiment import Experiment, cell_name
from ib_analysis.hdf5 import write_hdf5
from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.table import FactorRow, InformationRow, write_table
from ib_analysis.quantization import number_format
from ib_analysis.records.arrays import load_arrays
from ib_analysis.records.code_lengths import NULL, NULL_VALIDATION, code_length_artifact, code_length_bits
from ib_analysis.records.common_null import common_null, null_path
from ib_analysis.records.counts import counted_cells
from ib_analysis.records.decoders import readings_of
from ib_analysis.records.densities import coded_cells
from ib_analysis.records.images import images_of, measured_images
from ib_analysis.records.probes import probe_artifact
from ib_analysis.tables.brackets import BRACKETS, write_brackets
from ib_analysis.tables.certificates import write_certificates
from ib_analysis.tables.claims import CLAIMS, has_claims, write_claims
from ib_analysis.tables.counted import COUNTED, write_counted
from ib_analysis.tables.factors import factor_rows
from ib_analysis.tables.information import information_rows
from ib_analysis.tables.phases import write_phases
from ib_analysis.tables.streams import STREAM_VERDICT, STREAMS_TABLE, write_streams

__all__ = ["collate"]

INFORMATION, FACTORS, PHASES = "information.csv", "factors.csv", "phases.csv"
CERTIFICATES = "certificates.csv"


def collate(experiment: Experiment) -> None:
    """Choose the common L0, keep all code lengths in one file, and write the tables."""
    artifact = _artifact(experiment)
    if artifact.status() == "complete" and artifact.record.get("tables") == _table_hashes(experiment):
        return
    artifact.begin()
    null = common_null(experiment)
    bootstrap = Bootstrap(experiment.config.estimation.confidence, experiment.config.estimation.resamples)
    with write_hdf5(artifact.path) as file:
        file.attrs.update(
            {
                "null_source": null.source,
                "null_sha256": null.sha256,
                "null_validation_bits": null.validation_bits,
                "null_warnings": ";".join(null.warnings),
                "data_sha256": measured_images(experiment).sha256,
            }
        )
        if null.change_bits is not None:
            file.attrs["null_change_bits"] = null.change_bits
        file["null"] = null.bits
        if null.mean_map_bits is not None:
            file["maps/null"] = null.mean_map_bits
        for fit in experiment.fits:
            file[f"{fit.key}/own_null"] = code_length_bits(experiment, fit, NULL)
            for reading in readings_of(experiment, fit):
                found = load_arrays(code_length_artifact(experiment, fit, reading.name))
                file[f"{fit.key}/{reading.name}"] = found["bits"]
                file[f"maps/{fit.key}/{reading.name}"] = found["mean_map_bits"]
                if "halfway_bits" in found:
                    file[f"halfway/{fit.key}/{reading.name}"] = found["halfway_bits"]
    rows = information_rows(experiment, null, bootstrap)
    write_table(experiment.folder / INFORMATION, InformationRow, rows)
    if images_of(experiment).factor_bits:
        write_table(experiment.folder / FACTORS, FactorRow, factor_rows(experiment, bootstrap))
    write_phases(experiment)
    write_certificates(experiment, null.source)
    write_brackets(experiment, rows, null.bits, bootstrap)
    write_streams(experiment, rows, bootstrap)
    write_counted(experiment, rows)
    write_claims(experiment, rows, bootstrap)
    artifact.finish(tables=_table_hashes(experiment))


def _table_hashes(experiment: Experiment) -> dict[str, str | None]:
    """Hashes of the tables, None where one is missing: a table that was altered is written again."""
    names = [INFORMATION, PHASES, CERTIFICATES, BRACKETS]
    if stream_pairs(experiment.layers) and images_of(experiment).has_labels:
        names += [STREAMS_TABLE, STREAM_VERDICT]
    names += [CLAIMS] if has_claims(experiment) else []
    names += [COUNTED] if counted_cells(experiment) else []
    names += [FACTORS] if images_of(experiment).factor_bits else []
    paths = {name: experiment.folder / name for name in names}
    return {name: sha256_of_file(path) if path.exists() else None for name, path in paths.items()}


def _artifact(experiment: Experiment) -> Artifact:
    inputs = {}
    for fit in experiment.fits:
        for name in (NULL, NULL_VALIDATION, *(reading.name for reading in readings_of(experiment, fit))):
            inputs[f"{fit.key}/{name}"] = code_length_artifact(experiment, fit, name).identity
    for run in experiment.runs:
        for cell in experiment.cells:
            inputs[f"{run.key}/{cell_name(*cell)}"] = probe_artifact(experiment, run, cell).identity
    for found in coded_cells(experiment):
        inputs[f"codes/{found.run.key}/{cell_name(*found.cell)}"] = found.code_lengths.identity
    for counted in counted_cells(experiment):
        inputs[f"counts/{counted.run.key}/{cell_name(*counted.cell)}"] = counted.counts.identity
    if any(number_format(run.number_format).is_quantized for run in experiment.runs):
        inputs["columns"] = "code_bits, code_is_bottleneck"  # tables of before, without them, are made again
    if stream_pairs(experiment.layers) and images_of(experiment).has_labels:
        inputs["stream_verdict"] = "falls from its peak"  # tables of before, without that, are made again
    # As an input and not as config: with other settings the tables are made again, which costs nothing.
    inputs["estimation"] = sha256_of_plain(experiment.section("estimation"))
    other = experiment.config.estimation.null_from
    if other is not None:
        inputs["null_from"] = sha256_of_file(null_path(experiment, other))
    return Artifact(
        experiment.folder / "code_lengths.h5", "code_lengths", experiment.section("name"), inputs, algorithm="tables"
    )
