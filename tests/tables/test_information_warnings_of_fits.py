"""What a fit says of itself reaches the rows of information.csv."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ib_analysis.cli import main
from ib_analysis.experiment import Experiment, ExperimentConfig
from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.table import InformationRow, read_table
from ib_analysis.parsing import parse
from ib_analysis.records.common_null import common_null
from ib_analysis.tables.information import information_rows

OVERFITTING = [
    "tiny.yaml", "--layers", "[h4]", "--tasks", "[classification]", "--data.factors.n_decoder", "40",
    "--fitting.steps", "60", "--fitting.validate_every", "10", "--fitting.learning_rate", "0.03",
    "--decoder.filters", "8", "--decoder.dropout", "0",
]  # fmt: skip


def test_a_decoder_that_learns_its_images_by_heart_is_named(tiny: Path) -> None:
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
