"""The figure of certificates: a curve and a point for every row, open ends as arrows, and nothing computed anew."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from saved_experiments import write_csv

from ib_analysis.artifacts import UserError
from ib_analysis.information.certificates_table import CertificateRow
from ib_analysis.information.table import write_table
from ib_analysis.plots import certificates, draw_all
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.style import drawing_style

STEPS = list(range(100, 2100, 100))
DECODER = "classification_float32_seed0_decoder0"
ROW = CertificateRow(
    experiment="toy", task="classification", number_format="float32", encoder_seed=0, decoder_seed=0, decoder=DECODER,
    epoch=0, layer="h1", serves_as_l0="no", reached_bits=20.0, bits_to_gain=0.2, bits_to_gain_low=0.1,
    bits_to_gain_high=0.4, asymptote_bits=19.8, asymptote_bits_low=19.6, asymptote_bits_high=19.9,
    steady_asymptote_bits=20.8, exponent=0.7, steady_start=400, steady_end=1500, early_stopped="no", steps_done=2000,
    best_step=2000, warnings="",
)  # fmt: skip
OPEN = {
    "bits_to_gain": None, "bits_to_gain_low": 0.0, "bits_to_gain_high": float("inf"), "asymptote_bits": None,
    "asymptote_bits_low": -float("inf"), "steady_asymptote_bits": None, "exponent": None,
    "warnings": "asymptote_not_identified",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two layers at two epochs and a null condition, for one decoder; of one cell nothing is known."""
    made = tmp_path / "toy"
    cells = [(epoch, layer) for epoch in (0, 5) for layer in ("h1", "h4")]
    rows = [dataclasses.replace(ROW, epoch=epoch, layer=layer) for epoch, layer in cells]
    rows[2] = dataclasses.replace(rows[2], **OPEN)
    rows.append(dataclasses.replace(ROW, epoch=None, layer="null", serves_as_l0="yes"))
    names = ["validation_null_bits", *(f"epoch_{epoch:04d}/{layer}" for epoch, layer in cells)]
    curve = [{"step": step, **dict.fromkeys(names, 20 + 500 / step)} for step in STEPS]
    write_csv(made / "decoders" / DECODER / "curve.csv", ["step", *names], curve)
    write_table(made / "certificates.csv", CertificateRow, rows)
    return made


def lines(figure: Figure, gid: str) -> list[Line2D]:
    return [line for line in figure.findobj(Line2D) if line.get_gid() == gid]


def test_everything_in_the_table_is_drawn(folder: Path) -> None:
    with drawing_style():
        ((name, figure),) = certificates.draw(SavedExperiment(folder))
    assert name == "certificates"
    assert len(lines(figure, "curve")) == len(lines(figure, "interval")) == 5
    assert len(lines(figure, "law")) == len(lines(figure, "asymptote")) == len(lines(figure, "gain")) == 4
    assert len(lines(figure, "open")) == 1
    assert {float(line.get_ydata()[0]) for line in lines(figure, "gain")} == {0.2}
    assert {float(line.get_ydata()[0]) for line in lines(figure, "asymptote")} == {-0.2}
    assert all(np.allclose(line.get_ydata(), 500 / np.array(STEPS)) for line in lines(figure, "curve"))
    text = " ".join(part.get_text().replace("\n", " ") for part in figure.texts)
    assert "3 of 4 cells have less than 0.5 bit still to gain" in text
    assert "1 have no upper end" in text
    assert "the common L0: 0.20 [0.10, 0.40]" in text


def test_it_is_one_of_the_figures(folder: Path, tmp_path: Path) -> None:
    written = draw_all(folder, tmp_path / "figures")
    assert {path.name for path in written} == {"certificates.png", "certificates.svg"}


def test_a_missing_or_damaged_curve_is_named(folder: Path) -> None:
    path = folder / "decoders" / DECODER / "curve.csv"
    path.write_text("step\n1,2\n")
    with pytest.raises(UserError, match=r"curve\.csv is missing or damaged"):
        next(certificates.draw(SavedExperiment(folder)))
    path.unlink()
    with pytest.raises(UserError, match=r"curve\.csv is missing or damaged"):
        next(certificates.draw(SavedExperiment(folder)))
