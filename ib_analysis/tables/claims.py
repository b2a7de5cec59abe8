"""From code lengths, probes and phases.csv to `claims.csv`: what others found about binary networks, tested here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ib_analysis.experiment import Experiment, Run, Task
from ib_analysis.information.claims_table import ClaimCurve, ClaimRow, simultaneity_rows
from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.late_compression import late_compression_rows
from ib_analysis.information.phases_table import CurveKey, PhaseRow
from ib_analysis.information.table import InformationRow, read_table, write_table
from ib_analysis.information.warnings import join_warnings, split_warnings
from ib_analysis.quantization import number_format
from ib_analysis.records.arrays import load_arrays
from ib_analysis.records.images import images_of
from ib_analysis.records.probes import best_kind, probe_artifact
from ib_analysis.tables.phases import code_length_curves
from ib_analysis.training import binary_course, final_accuracy

__all__ = ["CLAIMS", "has_claims", "write_claims"]

CLAIMS = "claims.csv"
_TASK: Task = "classification"


def has_claims(experiment: Experiment) -> bool:
    """Whether there are binary classifiers, at several epochs, which the claims are about."""
    binary = any(run.task == _TASK and number_format(run.number_format).is_binary for run in experiment.runs)
    return binary and len(experiment.epochs) > 1 and images_of(experiment).has_labels


def write_claims(experiment: Experiment, rows: Sequence[InformationRow], bootstrap: Bootstrap) -> None:
    """Write ``claims.csv`` where `has_claims`, after ``phases.csv``; remove one that is there otherwise.

    Arguments:
        rows: of information.csv.
        bootstrap: of the intervals.
    """
    path = experiment.folder / CLAIMS
    if not has_claims(experiment):
        path.unlink(missing_ok=True)
        return
    phases = [row for row in read_table(experiment.folder / "phases.csv", PhaseRow) if row.task == _TASK]
    found = [
        *simultaneity_rows(experiment.config.name, _curves(experiment, rows), bootstrap, _note(experiment)),
        *late_compression_rows(phases, _accuracies(experiment), bootstrap.confidence),
    ]
    write_table(path, ClaimRow, found)


def _curves(experiment: Experiment, rows: Sequence[InformationRow]) -> dict[CurveKey, ClaimCurve]:
    warnings: dict[CurveKey, list[str]] = {}
    for row in rows:
        key = CurveKey(row.task, row.number_format, row.layer, row.encoder_seed, row.decoder_seed)
        warnings.setdefault(key, []).extend(split_warnings(row.warnings))
    found = {}
    for key, lengths in code_length_curves(experiment, rows)[0].items():
        if key.task == _TASK:
            epochs = tuple(sorted(lengths))
            run = Run(_TASK, key.number_format, key.encoder_seed)
            labels = [_label_bits(experiment, run, (epoch, key.layer)) for epoch in epochs]
            stacked = np.stack([lengths[epoch] for epoch in epochs])
            found[key] = ClaimCurve(epochs, stacked, np.stack(labels), join_warnings(warnings.get(key, [])))
    return found


def _label_bits(experiment: Experiment, run: Run, cell: tuple[int, str]) -> np.ndarray:
    probes = load_arrays(probe_artifact(experiment, run, cell))
    return probes[f"label/{best_kind(probes, 'label')}"]


def _accuracies(experiment: Experiment) -> dict[tuple[str, int], float]:
    found = {}
    for run in experiment.runs:
        if run.task == _TASK:
            accuracy = final_accuracy(experiment.encoder_folder(run) / "training.csv")
            assert accuracy is not None  # of a classifier
            found[run.number_format, run.encoder_seed] = accuracy
    return found


def _note(experiment: Experiment) -> str:
    """Until when a binary network's weights are real."""
    config = experiment.config
    steps = binary_course(config.binary_training, config.training).steps
    return f"weights of binary networks are real up to epoch {steps[0].epochs}" if len(steps) > 1 else ""
