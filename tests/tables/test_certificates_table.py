"""certificates.csv: made of the curves of finished decoders, which are not touched."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from ib_analysis.cli import main
from ib_analysis.information.certificates_table import CertificateRow, certificates_line
from ib_analysis.information.table import read_table

FOLDER = Path("checkpoints/tiny")
OPTIONS = ["--fitting.steps", "60", "--fitting.cooldown_share", "0.25", "--layers", "[h3]"]


def table() -> list[CertificateRow]:
    return read_table(FOLDER / "certificates.csv", CertificateRow)


def curve(row: CertificateRow) -> dict[str, list[float]]:
    with (FOLDER / "decoders" / row.decoder / "curve.csv").open() as file:
        lines = list(csv.DictReader(file))
    return {name: [float(line[name]) for line in lines] for name in lines[0]}


def test_a_row_per_cell_and_null_made_of_the_curve_alone(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["estimate-mi", "tiny.yaml", *OPTIONS]) == 0
    assert "Certificates: " in capsys.readouterr().out
    rows = table()
    assert [(row.task, row.epoch, row.layer) for row in rows] == [
        (task, epoch, "null" if epoch is None else "h3")
        for task in ("classification", "autoencoding")
        for epoch in (0, 2, None)
    ]
    assert [row.serves_as_l0 for row in rows if row.epoch is None].count("yes") == 1
    assert all(row.serves_as_l0 == "no" for row in rows if row.epoch is not None)
    for row in rows:
        columns = curve(row)
        name = "validation_null_bits" if row.epoch is None else f"epoch_{row.epoch:04d}/h3"
        at = columns["step"].index(row.best_step)
        assert row.best_step == columns["step"][int(np.argmin(columns["validation_bits"]))]
        assert row.reached_bits == pytest.approx(columns[name][at], rel=1e-8)
        assert (row.steps_done, row.steady_end, row.steady_start) == (60, 45, 12)
        if row.bits_to_gain is not None:
            assert row.asymptote_bits == pytest.approx(row.reached_bits - row.bits_to_gain, rel=1e-7)
            assert row.bits_to_gain_low <= row.bits_to_gain <= row.bits_to_gain_high
        else:
            assert row.warnings
    # An experiment that was finished before there were certificates gets them, and keeps all that it had.
    made = {path: path.read_bytes() for path in FOLDER.rglob("*") if path.suffix in (".pt", ".npz", ".csv", ".h5")}
    (FOLDER / "certificates.csv").unlink()
    assert main(["estimate-mi", "tiny.yaml", *OPTIONS]) == 0
    assert {path: path.read_bytes() for path in made} == made


def test_dedicated_decoders_have_rows_of_their_own_and_a_lost_curve_is_named(
    tiny: Path, capsys: pytest.CaptureFixture
) -> None:
    options = [*OPTIONS, "--sharing", "dedicated", "--tasks", "[classification]", "--fitting.null_share", "0"]
    assert main(["estimate-mi", "tiny.yaml", *options]) == 0
    # The null conditions of the dedicated decoders were never fitted: only the unconditional one has a row.
    assert [(row.decoder.split("_")[0], row.epoch, row.serves_as_l0) for row in table()] == [
        ("unconditional", None, "yes"), ("classification", 0, "no"), ("classification", 2, "no")
    ]  # fmt: skip
    (FOLDER / "certificates.csv").unlink()
    lost = FOLDER / "decoders" / table_key() / "curve.csv"
    lost.unlink()
    capsys.readouterr()
    assert main(["estimate-mi", "tiny.yaml", *options]) == 2
    assert f"{lost}, the learning curve of a decoder, is missing" in capsys.readouterr().err


def table_key() -> str:
    return "classification_float32_seed0_decoder0/epoch_0002_h3"


def test_the_line_counts_cells_below_half_a_bit() -> None:
    def row(epoch: int | None, gain: float | None, high: float, serves: str = "no") -> CertificateRow:
        return CertificateRow(
            "toy", "classification", "float32", 0, 0, "key", epoch, "h1" if epoch is not None else "null", serves, 20.0,
            gain, 0.1, high, None, 19.0, 20.0, None, None, 10, 100, "no", 120, 110, "",
        )  # fmt: skip

    rows = [row(0, 0.2, 0.4), row(1, 0.3, 0.5), row(2, 1.5, 3.0), row(3, None, math.inf)]
    line = certificates_line([*rows, row(None, 0.2, 0.6, "yes")])
    assert line.startswith(
        "Certificates: 1 of 4 cells have less than 0.5 bit still to gain (upper end of the interval)"
    )
    assert "1 have no upper end; the estimates go up to 1.50 bits; the common L0: 0.20 [0.10, 0.60]" in line
    unknown = certificates_line([row(0, None, math.inf), row(None, None, math.inf, "yes")])
    assert "go up to" not in unknown
    assert "the common L0: not known" in unknown
