"""What a fit says of itself reaches the rows of information.csv."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ib_analysis.cli import main
from ib_analysis.experiment import Experiment, ExperimentConfig
from ib_analysis.information.intervals import Bootstrap, Interval
from ib_analysis.information.table import InformationRow, read_table
from ib_analysis.parsing import parse
from ib_analysis.records.common_null import common_null
from ib_analysis.tables import information as table
from ib_analysis.tables.information import information_rows

OVERFITTING = [
    "tiny.yaml", "--layers", "[h4]", "--tasks", "[classification]", "--data.factors.n_decoder", "40",
    "--fitting.steps", "60", "--fitting.validate_every", "10", "--fitting.learning_rate", "0.03",
    "--decoder.filters", "8", "--decoder.dropout", "0",
]  # fmt: skip


def test_a_decoder_that_learns_its_images_by_heart_is_named(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["estimate-mi", *OVERFITTING]) == 0
    rows = read_table(Path("checkpoints/tiny/information.csv"), InformationRow)
    assert len(rows) == 2
    assert all("validation_code_length_rising" in row.warnings.split(";") for row in rows)
    # The null condition goes on learning while the cells get worse, whose best weights are kept.
    assert all("common_null_not_converged" in row.warnings.split(";") for row in rows)

    experiment = Experiment(parse(ExperimentConfig, "estimate-mi", "", OVERFITTING)[0])
    null = dataclasses.replace(common_null(experiment), warnings=("validation_code_length_rising",))
    for row in information_rows(experiment, null, Bootstrap()):
        assert "common_null_rising" in row.warnings.split(";")

    # A probe that finds more about the label than the decoder about the image.
    name = "information_below_label_information"
    measured = information_rows(experiment, null, Bootstrap())
    for row, (above, found) in ((row, case) for row in measured for case in ((0.1, True), (-0.1, False))):
        label = Interval(*(row.i_xh_bits_high + above + shift for shift in (0.2, 0.0, 0.3)))
        monkeypatch.setattr(table, "probe_bits", lambda *_, label=label: label)
        again = next(r for r in information_rows(experiment, null, Bootstrap()) if r.epoch == row.epoch)
        assert (name in again.warnings.split(";")) is found
