"""From the code lengths of an audit's decoders to audit.csv and hysteresis.csv."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from decoders import PixelCNNPPConfig
from decoders.config import Architecture, ReaderArchitecture
from ib_analysis.artifacts import Artifact, plain, sha256_of_file, sha256_of_plain
from ib_analysis.experiment import Fit
from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.table import read_table, write_table
from ib_analysis.records.arrays import load_arrays
from ib_analysis.records.code_lengths import NULL, code_length_artifact
from ib_analysis.records.decoders import decoder_artifact, decoder_network
from ib_analysis.results import load_results
from ib_analysis.studies.audit.hysteresis import HysteresisRow, hysteresis_rows
from ib_analysis.studies.audit.plan import BACKWARD, FINE_TUNE, FORWARD, Plan
from ib_analysis.studies.audit.rows import NO_REMEDY, AuditRow, Cost, Measured, Place, audit_row, pool
from ib_analysis.studies.audit.sample import SharedCell
from ib_analysis.studies.describe.decoder_cost import decoder_flops, untrained
from ib_analysis.studies.describe.passes import BACKWARD as BACKWARD_PASSES
from ib_analysis.studies.extra_fits import ExtraFit

__all__ = ["audit_table", "hysteresis_path", "hysteresis_table", "table_path"]


def table_path(plan: Plan) -> Path:
    """Where audit.csv lies."""
    return plan.fits.folder / "audit.csv"


def hysteresis_path(plan: Plan) -> Path:
    """Where hysteresis.csv lies."""
    return plan.fits.folder / "hysteresis.csv"


def audit_table(plan: Plan) -> list[AuditRow]:
    """Write audit.csv unless it is there and made of the same code lengths; return its rows.

    For each shared fit (the experiment's own, and each remedy) and each multiple: a row per sampled cell, then one of
    all together.
    """
    config = {"experiment": plan.experiment.config.name}
    artifact = Artifact(table_path(plan), "audit", config, _inputs(plan), algorithm="tables")
    if artifact.status() != "complete":
        artifact.begin()
        write_table(artifact.path, AuditRow, _audit_rows(plan))
        artifact.finish()
    return read_table(artifact.path, AuditRow)


def hysteresis_table(plan: Plan) -> list[HysteresisRow]:
    """The same for hysteresis.csv; no rows and no file where no sweep was asked for."""
    if not plan.sweeps:
        return []
    config = {"experiment": plan.experiment.config.name}
    artifact = Artifact(hysteresis_path(plan), "hysteresis", config, _inputs(plan), algorithm="tables")
    if artifact.status() != "complete":
        artifact.begin()
        write_table(artifact.path, HysteresisRow, _sweep_rows(plan))
        artifact.finish()
    return read_table(artifact.path, HysteresisRow)


def _inputs(plan: Plan) -> dict[str, str]:
    # Settings are inputs and no config: with other ones the tables are made again, which costs nothing.
    settings = {"audit": plain(plan.settings), **plan.experiment.section("estimation")}
    found = {
        "settings": sha256_of_plain(settings),
        "code lengths": sha256_of_file(plan.experiment.folder / "code_lengths.h5"),
    }
    for extra in plan.fits.fits:
        artifacts = plan.fits.code_length_artifacts(extra)
        found |= {f"{extra.key}/{name}": artifact.identity for name, artifact in artifacts.items()}
    return found


def _bootstrap(plan: Plan) -> Bootstrap:
    estimation = plan.experiment.config.estimation
    return Bootstrap(estimation.confidence, estimation.resamples)


# ---------------------------------------------------------------------------------------------- audit.csv


def _audit_rows(plan: Plan) -> list[AuditRow]:
    config = plan.experiment.config
    null = load_results(config.name, config.checkpoints).null_code_lengths()
    shared = {NO_REMEDY: [_own(plan, cell) for cell in plan.cells]}
    for remedy in plan.remedies:
        shared[remedy] = [_extra(plan, plan.remedied(remedy, cell.fit), cell) for cell in plan.cells]
    if FINE_TUNE in plan.settings.remedies:
        tuned = [_extra(plan, plan.fine_tuned(cell), cell) for cell in plan.cells]
        shared[FINE_TUNE] = [_further(own, more) for own, more in zip(shared[NO_REMEDY], tuned, strict=True)]
    rows = []
    for remedy, measured in shared.items():
        for multiple in plan.settings.multiples:
            dedicated = [_extra(plan, plan.dedicated(cell, multiple), cell) for cell in plan.cells]
            places = [(_place(cell), [index]) for index, cell in enumerate(plan.cells)]
            places.append((Place(n_cells=len(plan.cells)), list(range(len(plan.cells)))))
            for place, members in places:
                ours, theirs = (pool([of[index] for index in members]) for of in (measured, dedicated))
                rows.append(audit_row(config.name, remedy, place, multiple, null, ours, theirs, _bootstrap(plan)))
    return rows


def _place(cell: SharedCell) -> Place:
    assert cell.fit.run is not None
    run = cell.fit.run
    return Place(run.task, run.number_format, run.encoder_seed, cell.fit.decoder_seed, cell.epoch, cell.layer)


def _own(plan: Plan, cell: SharedCell) -> Measured:
    """The experiment's shared decoder in one of its cells."""
    experiment = plan.experiment
    artifact = decoder_artifact(experiment, cell.fit)

    def bits(what: str) -> np.ndarray:
        return load_arrays(code_length_artifact(experiment, cell.fit, what))["bits"]

    return _measured(
        plan,
        bits(cell.name),
        bits(NULL),
        artifact.record,
        decoder_network(experiment, cell.fit),
        experiment.decoder_size_for(cell.fit),
        cell,
    )


def _extra(plan: Plan, extra: ExtraFit, cell: SharedCell) -> Measured:
    """A decoder of the audit in one of its cells."""
    fits = plan.fits
    return _measured(
        plan,
        fits.code_lengths(extra, cell.name),
        fits.code_lengths(extra, NULL),
        fits.record(extra),
        fits.network(extra),
        extra.architecture,
        cell,
    )


def _measured(
    plan: Plan,
    bits: np.ndarray,
    own_null: np.ndarray,
    record: dict,
    network: PixelCNNPPConfig,
    size: Architecture | ReaderArchitecture,
    cell: SharedCell,
) -> Measured:
    fitting, looks_up = plan.experiment.fitting, plan.experiment.config.activations.mode == "dump"
    steps = record["steps_done"] / len(network.cells)
    images, training = steps * fitting.batch_size, (1 + BACKWARD_PASSES) * _flops(network, size, looks_up)
    return Measured(
        bits=bits,
        own_null_bits=own_null if fitting.null_share > 0 else None,
        cost=Cost(steps, images, training * images, record["seconds"] / len(network.cells)),
        warnings=tuple(record["cell_warnings"][cell.name]),
    )


@cache
def _flops(network: PixelCNNPPConfig, size: Architecture | ReaderArchitecture, looks_up: bool) -> float:
    """FLOPs of one image's code length, the mean over the decoder's cells, which are drawn equally often."""
    decoder = untrained(network, size, looks_up)
    layers = [cell.layer for cell in network.cells]
    by_layer = {layer: decoder_flops(decoder, layers.index(layer)) for layer in set(layers)}
    return float(np.mean([by_layer[layer] for layer in layers]))


def _further(own: Measured, more: Measured) -> Measured:
    """A fit that went on from another: its code lengths at the cost of both."""
    cost = Cost(
        own.cost.steps + more.cost.steps,
        own.cost.images + more.cost.images,
        own.cost.flops + more.cost.flops,
        own.cost.seconds + more.cost.seconds,
    )
    return Measured(more.bits, more.own_null_bits, cost, more.warnings)


# ---------------------------------------------------------------------------------------------- hysteresis.csv


def _sweep_rows(plan: Plan) -> list[HysteresisRow]:
    layer = plan.settings.hysteresis
    assert layer is not None  # else there are no sweeps
    rows: list[HysteresisRow] = []
    for fit in dict.fromkeys(fit for fit, _ in plan.sweeps):
        there, back = (_swept(plan, fit, direction) for direction in (FORWARD, BACKWARD))
        sweeps = [(epoch, there[epoch], back[epoch]) for epoch in plan.experiment.epochs]
        place = replace(_place(SharedCell(fit, 0, layer)), epoch=None)
        rows += hysteresis_rows(plan.experiment.config.name, place, sweeps, _bootstrap(plan))
    return rows


def _swept(plan: Plan, fit: Fit, direction: str) -> dict[int, Measured]:
    """Epoch -> decoder of one sweep, each at the cost of all fine-tunes up to it."""
    found: dict[int, Measured] = {}
    last: Measured | None = None
    for epoch, extra in plan.sweep(fit, direction).items():
        more = _extra(plan, extra, SharedCell(fit, epoch, extra.cells[0][1]))
        last = found[epoch] = more if last is None else _further(last, more)
    return found
