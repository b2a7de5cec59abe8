"""From the small files of all cells to `code_lengths.h5`, `information.csv` and `factors.csv`."""

from __future__ import annotations

import math

import h5py
import numpy as np

from ib_analysis.artifacts import Artifact, sha256_of_file, sha256_of_plain
from ib_analysis.data import ImageData
from ib_analysis.experiment import Experiment, Fit, cell_name
from ib_analysis.hdf5 import write_hdf5
from ib_analysis.information.estimates import (
    bits_per_dim,
    information_from_probes,
    lower_bound,
    usable_information,
)
from ib_analysis.information.intervals import Bootstrap, Interval
from ib_analysis.information.table import FactorRow, InformationRow, write_table
from ib_analysis.information.warnings import (
    information_above_upper_bound,
    join_warnings,
    not_finite,
    own_null_much_worse_than_common,
)
from ib_analysis.quantization import number_format
from ib_analysis.stages.brackets import BRACKETS, write_brackets
from ib_analysis.stages.certificates import write_certificates
from ib_analysis.stages.code_densities import coded_cells
from ib_analysis.stages.codes import Code, codes_of
from ib_analysis.stages.common_null import CommonNull, common_null, null_path
from ib_analysis.stages.context import encoder_identities, images_of, measured_images
from ib_analysis.stages.fit import decoder_artifact, layer_shapes, readings_of
from ib_analysis.stages.measure import (
    NULL,
    NULL_VALIDATION,
    best_kind,
    code_length_artifact,
    load_arrays,
    probe_artifact,
)
from ib_analysis.stages.phases import write_phases
from ib_analysis.stages.spike_in_columns import spike_in_columns, spike_in_warnings

__all__ = ["collate", "common_null_source"]

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
        file["null"] = null.bits
        if null.mean_map_bits is not None:
            file["maps/null"] = null.mean_map_bits
        for fit in experiment.fits:
            file[f"{fit.key}/own_null"] = _bits(experiment, fit, NULL)
            for reading in readings_of(experiment, fit):
                found = load_arrays(code_length_artifact(experiment, fit, reading.name))
                file[f"{fit.key}/{reading.name}"] = found["bits"]
                file[f"maps/{fit.key}/{reading.name}"] = found["mean_map_bits"]
    rows = _information_rows(experiment, null, bootstrap)
    write_table(experiment.folder / INFORMATION, InformationRow, rows)
    if images_of(experiment).factor_bits:
        write_table(experiment.folder / FACTORS, FactorRow, _factor_rows(experiment, bootstrap))
    write_phases(experiment)
    write_certificates(experiment, null.source)
    write_brackets(experiment, rows, null.bits, bootstrap)
    artifact.finish(tables=_table_hashes(experiment))


def common_null_source(experiment: Experiment) -> str:
    """Key of the decoder whose null condition is the common L0."""
    with h5py.File(_artifact(experiment).path, "r") as file:
        return str(file.attrs["null_source"])


def _table_hashes(experiment: Experiment) -> dict[str, str | None]:
    """Hashes of the tables, None where one is missing: a table that was altered is written again."""
    names = [INFORMATION, PHASES, CERTIFICATES, BRACKETS, *([FACTORS] if images_of(experiment).factor_bits else [])]
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
    if any(number_format(run.number_format).is_quantized for run in experiment.runs):
        inputs["columns"] = "code_bits, code_is_bottleneck"  # tables of before, without them, are made again
    # As an input and not as config: with other settings the tables are made again, which costs nothing.
    inputs["estimation"] = sha256_of_plain(experiment.section("estimation"))
    other = experiment.config.estimation.null_from
    if other is not None:
        inputs["null_from"] = sha256_of_file(null_path(experiment, other))
    return Artifact(experiment.folder / "code_lengths.h5", "code_lengths", experiment.section("name"), inputs)


def _bits(experiment: Experiment, fit: Fit, what: str) -> np.ndarray:
    return load_arrays(code_length_artifact(experiment, fit, what))["bits"]


# ---------------------------------------------------------------------------------------------- information.csv


def _information_rows(experiment: Experiment, null: CommonNull, bootstrap: Bootstrap) -> list[InformationRow]:
    rows = []
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    codes = {run: codes_of(experiment, run) for run in experiment.runs}
    for fit in experiment.fits:
        if fit.run is None:
            continue
        if fit.run.task not in shapes:
            shapes[fit.run.task] = layer_shapes(experiment, fit.run)
        for cell in fit.cells:
            shape, code = shapes[fit.run.task][cell[1]], codes[fit.run].get(cell)
            rows.append(_information_row(experiment, fit, cell, shape, code, null, bootstrap))
    return rows


def _information_row(
    experiment: Experiment,
    fit: Fit,
    cell: tuple[int, str],
    shape: tuple[int, ...],
    code: Code | None,
    null: CommonNull,
    bootstrap: Bootstrap,
) -> InformationRow:
    assert fit.run is not None
    data, run, (epoch, layer) = measured_images(experiment), fit.run, cell
    lengths = _bits(experiment, fit, cell_name(*cell))
    own_null = _bits(experiment, fit, NULL) if experiment.config.fitting.null_share > 0 else None
    usable = usable_information(null.bits, lengths, bootstrap)
    bound = lower_bound(data.h_x_bits, lengths, bootstrap) if data.h_x_bits is not None else None
    probes = load_arrays(probe_artifact(experiment, run, cell))
    label = _from_probes(probes, "label", data.h_y_bits, bootstrap)
    best = best_kind(probes, "label")
    manifest = decoder_artifact(experiment, fit).record
    estimates = [usable, *([bound] if bound is not None else [])]
    return InformationRow(
        experiment=experiment.config.name,
        task=run.task,
        number_format=run.number_format,
        encoder_seed=run.encoder_seed,
        decoder_seed=fit.decoder_seed,
        epoch=epoch,
        layer=layer,
        channels=shape[0],
        height=shape[1] if len(shape) == 3 else 1,
        width=shape[2] if len(shape) == 3 else 1,
        n_images=len(lengths),
        i_xh_bits=usable.estimate,
        i_xh_bits_low=usable.low,
        i_xh_bits_high=usable.high,
        i_xh_bits_per_dim=bits_per_dim(usable.estimate, data.image_shape),
        code_length_bits=float(lengths.mean()),
        null_code_length_bits=float(null.bits.mean()),
        own_null_code_length_bits=None if own_null is None else float(own_null.mean()),
        h_x_bits=data.h_x_bits,
        lower_bound_bits=None if bound is None else bound.estimate,
        lower_bound_bits_low=None if bound is None else bound.low,
        lower_bound_bits_high=None if bound is None else bound.high,
        i_hy_linear_bits=data.h_y_bits - float(probes["label/linear"].mean()),
        i_hy_mlp_bits=data.h_y_bits - float(probes["label/network"].mean()),
        i_hy_bits=label.estimate,
        i_hy_bits_low=label.low,
        i_hy_bits_high=label.high,
        probe_accuracy=float(probes[f"label/{best}/accuracy"]),
        decoder=fit.key,
        decoder_steps=int(manifest["steps_done"]),
        condition="activations",
        seconds=_seconds(experiment, fit, cell, float(manifest["seconds"])),
        warnings=_warnings(
            [*manifest["cell_warnings"][cell_name(*cell)], *spike_in_warnings(experiment, fit, cell)],
            estimates,
            label,
            own_null,
            null,
            _bounds(data, shape, code),
            bootstrap,
        ),
        encoder_sha256=encoder_identities(experiment, run)[epoch],
        decoder_sha256=decoder_artifact(experiment, fit).identity,
        **spike_in_columns(experiment, fit, cell, bootstrap),
        code_bits=None if code is None else code.bits,
        code_is_bottleneck=None if code is None else code.is_bottleneck,
    )


def _warnings(
    fitted: list[str],
    estimates: list[Interval],
    label: Interval,
    own_null: np.ndarray | None,
    null: CommonNull,
    upper_bounds_bits: dict[str, float],
    bootstrap: Bootstrap,
) -> str:
    found = list(fitted)
    if null.warnings:
        found.append("common_null_not_converged")
    if not_finite([*estimates, label]):
        found.append("not_finite")
    if own_null is not None and own_null_much_worse_than_common(null.bits, own_null, bootstrap):
        found.append("own_null_much_worse_than_common")
    if information_above_upper_bound(estimates, upper_bounds_bits):
        found.append("information_above_upper_bound")
    return join_warnings(found)


def _bounds(data: ImageData, shape: tuple[int, ...], code: Code | None) -> dict[str, float]:
    """Known upper bounds on I(X;H): what the codes or float16 activations can hold, and H(X) where it is known."""
    bits = 16 if code is None else code.bits
    bounds = {f"units x {bits} bits": float(bits * math.prod(shape))}
    return bounds if data.h_x_bits is None else {**bounds, "H(X)": data.h_x_bits}


def _seconds(experiment: Experiment, fit: Fit, cell: tuple[int, str], fitting: float) -> float:
    """The cell's share of its decoder's fit, its measurement and its probes."""
    assert fit.run is not None
    names = [reading.name for reading in readings_of(experiment, fit) if reading.cell == cell]
    measured = sum(float(code_length_artifact(experiment, fit, name).record["seconds"]) for name in names)
    probed = probe_artifact(experiment, fit.run, cell).record["seconds"]
    return fitting / len(fit.cells) + measured + float(probed)


# ---------------------------------------------------------------------------------------------- factors.csv


def _factor_rows(experiment: Experiment, bootstrap: Bootstrap) -> list[FactorRow]:
    data = images_of(experiment)
    rows = []
    for run in experiment.runs:
        for cell in experiment.cells:
            probes = load_arrays(probe_artifact(experiment, run, cell))
            for factor, true_bits in data.factor_bits.items():
                name = f"factor:{factor}"
                found = _from_probes(probes, name, true_bits, bootstrap)
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


def _from_probes(probes: dict[str, np.ndarray], name: str, entropy: float, bootstrap: Bootstrap) -> Interval:
    chosen = probes[f"{name}/{best_kind(probes, name)}"]
    return information_from_probes({name: entropy}, {name: chosen}, bootstrap)[name]
