"""phases.csv is made from code_lengths.h5 and information.csv alone, the same each time."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from result_rows import row

from ib_analysis.artifacts import UserError
from ib_analysis.experiment import EstimationConfig, Experiment, ExperimentConfig, cell_name
from ib_analysis.information.phases_table import PhaseRow
from ib_analysis.information.table import InformationRow, read_table, write_table
from ib_analysis.tables.phases import write_phases
from ib_analysis.training import TrainingConfig


def measured(folder: Path, sharing: str = "shared", codes_from: int | None = None) -> Experiment:
    """An experiment of which only code lengths and the table of information are there; h1 may become a code."""
    experiment = Experiment(
        ExperimentConfig(
            name="toy",
            tasks=("classification",),
            layers=("h1", "h3"),
            encoder_seeds=(0, 1),
            reader="gated",
            sharing=sharing,
            training=TrainingConfig(epochs=2, checkpoints=(0, 1)),
            estimation=EstimationConfig(resamples=199),
            checkpoints=str(folder),
        )
    )
    experiment.folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    with h5py.File(experiment.folder / "code_lengths.h5", "w") as file:
        file["null"] = rng.normal(60, 1, size=50)
        for fit in experiment.fits:
            for epoch, layer in fit.cells:
                assert fit.run is not None
                peak = 9.0 if epoch == 1 and layer == "h3" else 0.0
                file[f"{fit.key}/{cell_name(epoch, layer)}"] = 40 - epoch - peak + rng.normal(size=50)
                warnings = "nan_recovered" if (epoch, layer) == (2, "h1") else ""
                bits = 4 if layer == "h1" and codes_from is not None and epoch >= codes_from else None
                changes = {"encoder_seed": fit.run.encoder_seed, "warnings": warnings, "code_bits": bits}
                rows.append(row(epoch=epoch, layer=layer, **changes))
    write_table(experiment.folder / "information.csv", InformationRow, rows)
    return experiment


@pytest.mark.parametrize("sharing", ["shared", "dedicated"])
def test_writes_a_row_per_run_and_layer_and_over_seeds(tmp_path: Path, sharing: str) -> None:
    experiment = measured(tmp_path, sharing)
    write_phases(experiment)
    path = experiment.folder / "phases.csv"
    rows = read_table(path, PhaseRow)
    assert [(row.layer, row.encoder_seed) for row in rows] == [
        ("h1", 0), ("h1", 1), ("h1", None), ("h3", 0), ("h3", 1), ("h3", None)
    ]  # fmt: skip
    assert {row.experiment for row in rows} == {"toy"}
    assert [row.warnings for row in rows] == ["nan_recovered"] * 3 + [""] * 3
    assert rows[3].verdict == "compresses"
    assert rows[3].peak_epoch == 1
    assert rows[3].compression_loss_bits == pytest.approx(8, abs=0.7)
    before = path.read_bytes()
    write_phases(experiment)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("codes_from", "first"), [(None, 0), (1, 1)])
def test_phases_of_all_layers_begin_where_codes_do(tmp_path: Path, codes_from: int | None, first: int) -> None:
    experiment = measured(tmp_path, codes_from=codes_from)
    write_phases(experiment)
    rows = read_table(experiment.folder / "phases.csv", PhaseRow)
    assert {row.layer for row in rows} == {"h1", "h3"}
    assert {(row.first_epoch, row.last_epoch, row.n_checkpoints) for row in rows} == {(first, 2, 3 - first)}


def test_phases_need_two_checkpoints_of_the_quantized_network(tmp_path: Path) -> None:
    experiment = measured(tmp_path, codes_from=2)
    write_phases(experiment)
    assert read_table(experiment.folder / "phases.csv", PhaseRow) == []


def test_says_what_is_missing(tmp_path: Path) -> None:
    experiment = measured(tmp_path)
    (experiment.folder / "code_lengths.h5").write_bytes(b"no")
    with pytest.raises(UserError, match="cannot be read"):
        write_phases(experiment)
    (experiment.folder / "code_lengths.h5").unlink()
    with pytest.raises(UserError, match="is missing"):
        write_phases(experiment)
