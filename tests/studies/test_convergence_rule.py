"""The rule of widened intervals by hand: containment, phases, shares, predictions, and the figure of them."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from decoders.fitting.certificate import certify
from ib_analysis.artifacts import UserError
from ib_analysis.information.change import outside
from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.phases_table import CurveKey, phase_rows
from ib_analysis.information.table import InformationRow, write_table
from ib_analysis.plots.style import drawing_style
from ib_analysis.studies.convergence import figure
from ib_analysis.studies.convergence.judge import prediction, share_of
from ib_analysis.studies.convergence.rows import ConvergenceRow
from ib_analysis.studies.convergence.summary import summary
from ib_analysis.studies.convergence.table import cell_row, phase_row

ROW = InformationRow(
    experiment="toy", task="classification", number_format="float32", encoder_seed=0, decoder_seed=0, epoch=3,
    layer="h2", channels=2, height=4, width=4, n_images=4, i_xh_bits=10.0, i_xh_bits_low=9.0, i_xh_bits_high=11.0,
    i_xh_bits_per_dim=0.1, code_length_bits=20.0, null_code_length_bits=30.0, own_null_code_length_bits=None,
    h_x_bits=None, lower_bound_bits=None, lower_bound_bits_low=None, lower_bound_bits_high=None, i_hy_linear_bits=0.0,
    i_hy_mlp_bits=0.0, i_hy_bits=0.0, i_hy_bits_low=0.0, i_hy_bits_high=0.0, probe_accuracy=0.5, decoder="d",
    decoder_steps=100, condition="activations", seconds=1.0, warnings="", encoder_sha256="", decoder_sha256="",
    information_change_bits=0.4, information_high_with_change=11.5,
)  # fmt: skip
L = np.array([20.0, 21.0, 19.0, 20.0])
SILENT = certify([10, 20], [5.0, 4.0], best_step=20, steps_done=20, early_stopped=False)


def compared(longer: np.ndarray, row: InformationRow = ROW, certificate=SILENT, factor: float = 4.0) -> ConvergenceRow:
    return cell_row(row, L, longer, 400, ("validation_code_length_still_falling",), certificate, factor, Bootstrap())


@pytest.mark.parametrize(
    ("added", "contained", "beyond", "within"),
    [
        (0.0, "yes", 0.0, "yes"),
        (0.4, "yes", 0.0, "yes"),
        (1.2, "yes", 0.0, "no"),  # the interval over images helps, the change alone does not
        (1.5, "yes", 0.0, "no"),
        (1.75, "no", 0.25, "no"),  # above 11 + 1.25 x 0.4
        (-0.9, "yes", 0.0, "yes"),
        (-1.25, "no", -0.25, "yes"),  # below 9: no change lowers the lower end
    ],
)
def test_containment_by_hand(added: float, contained: str, beyond: float, within: str) -> None:
    """10 bits in [9, 11], which a change of 0.4 widens to 11.5; the same for every image, so without an interval."""
    row = compared(L - added)
    assert (row.contained, row.within_change) == (contained, within)
    assert row.outside_bits == pytest.approx(beyond, abs=1e-12)
    assert row.longer_i_xh_bits == pytest.approx(10 + added)
    assert row.added_bits_low == pytest.approx(row.added_bits_high)


def test_a_number_that_fell_widens_nothing() -> None:
    fell = dataclasses.replace(ROW, information_change_bits=-3.0, information_high_with_change=11.0)
    assert compared(L - 0.75, fell).contained == "yes"
    assert compared(L - 1.25, fell).contained == "no"
    assert compared(L - 1.25, fell).outside_bits == pytest.approx(0.25)


def test_images_are_paired() -> None:
    """What images differ by cancels; only what the two fits differ by image by image makes an interval."""
    rng = np.random.default_rng(0)
    own = rng.normal(500.0, 100.0, 400)
    longer = own - rng.normal(0.6, 0.5, 400)
    row = cell_row(ROW, own, longer, 400, (), SILENT, 4.0, Bootstrap())
    assert row.added_bits_high - row.added_bits_low == pytest.approx(2 * 1.96 * 0.5 / math.sqrt(400), rel=0.2)
    assert row.added_bits == pytest.approx((own - longer).mean())


def test_certificates_are_held_against_what_was_added() -> None:
    steps = list(range(100, 2100, 100))
    bits = [20 + 3 * (step / 2000) ** -0.5 for step in steps]
    certificate = certify(steps, bits, best_step=2000, steps_done=2000, early_stopped=False)
    row = compared(L - 1.0, certificate=certificate)
    assert row.bits_to_gain == pytest.approx(3, rel=0.05)
    assert row.bits_to_gain_here == pytest.approx(1.5, rel=0.05)  # 3 (1 - 4^-1/2)
    assert row.certificate_holds == "yes"
    assert compared(L - 9.0, certificate=certificate).certificate_holds == "no"
    silent = compared(L - 9.0)
    assert (silent.bits_to_gain, silent.bits_to_gain_high, silent.certificate_holds) == (None, None, "")


@pytest.mark.filterwarnings("ignore:The BCa confidence interval")  # of what is no number
def test_fits_that_ended_once_are_no_subject() -> None:
    with pytest.raises(ValueError, match="ended once"):
        compared(L, dataclasses.replace(ROW, information_change_bits=None))
    with pytest.raises(ValueError, match="same images"):
        compared(L[:3])
    assert compared(np.full(4, np.nan)).contained == "no"


def test_phases_are_widened_to_both_sides() -> None:
    key = CurveKey("classification", "float32", "h2", 0, 0)
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, (3, 200))

    def phases(means: list[float], halfway: list[float] | None = None):
        def curves(of: list[float]) -> dict:
            return {key: dict(zip((0, 5, 9), np.array(of)[:, None] + noise, strict=True))}

        (row,) = phase_rows("toy", curves(means), halfway=None if halfway is None else curves(halfway))
        return row

    own = phases([40, 30, 32], halfway=[40, 31, 32])  # gain 10 (9 before), loss 2 (1 before)
    row = phase_row(key, own, phases([40, 29.2, 32]))
    assert row.gain_change_bits == pytest.approx(1.0)
    assert row.loss_bits_low == pytest.approx(own.compression_loss_bits_low - 1.25)
    assert row.loss_bits_high == pytest.approx(own.compression_loss_bits_high + 1.25)
    assert (row.gain_contained, row.loss_contained, row.same_verdict) == ("yes", "yes", "yes")
    other = phase_row(key, own, phases([40, 33, 30]))  # no peak before the end any more: loss 0, below 2 - 1.25
    assert (other.loss_contained, other.same_verdict, other.longer_peak_epoch) == ("no", "no", 9)
    assert other.loss_outside_bits == pytest.approx(-(own.compression_loss_bits_low - 1.25))
    with pytest.raises(ValueError, match="ended once"):
        phase_row(key, phases([40, 30, 32]), own)


@given(
    st.floats(-100, 100), st.floats(-100, 100), st.floats(0, 100)
)  # fmt: skip
def test_outside_is_zero_exactly_within(value: float, low: float, width: float) -> None:
    found = outside(value, low, low + width)
    assert (found == 0) == (low <= value <= low + width)
    assert low - 1e-9 <= value - found <= low + width + 1e-9


@given(st.integers(0, 60), st.integers(1, 60))
def test_the_share_has_wilsons_interval(kept: int, of: int) -> None:
    """Wilson 1927, the closed form: the ends solve |p - share| = z sqrt(p (1 - p) / n)."""
    kept = min(kept, of)
    found, z, p = share_of([True] * kept + [False] * (of - kept)), 1.959963984540054, kept / of
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    assert (found.low, found.high) == (pytest.approx(middle - half, abs=1e-9), pytest.approx(middle + half, abs=1e-9))


def test_a_prediction_is_judged_by_ranks_and_ratios() -> None:
    found = prediction([1, 2, 3, 4, math.nan], [8, 6, 4, 2, 1])
    assert found.rank_correlation == -1
    assert found.ratio_quantiles == pytest.approx(np.quantile([8, 3, 4 / 3, 0.5], [0.1, 0.5, 0.9]))
    assert prediction([1, 1, 1], [1, 2, 3]).rank_correlation is None
    assert prediction([-1, -2], [1, 2]).ratio_quantiles is None


def some_rows() -> list[ConvergenceRow]:
    rows = []
    for task in ("classification", "autoencoding"):
        for layer, scale in (("h1", 8.0), ("h2", 2.0), ("h3", 0.5)):
            for epoch, added in ((0, 0.1), (4, 0.9), (9, 2.5)):
                warned = dataclasses.replace(ROW, warnings="information_still_moving" if epoch == 0 else "")
                row = dataclasses.replace(
                    warned, task=task, layer=layer, epoch=epoch, i_xh_bits_low=10 - scale, i_xh_bits_high=10 + scale,
                    information_change_bits=0.5 * scale, information_high_with_change=10 + 1.5 * scale,
                )  # fmt: skip
                rows.append(compared(L - added * scale + np.array([0.1, -0.1, 0.2, 0]) * scale, row))
    return rows


def test_the_summary_counts_cells_with_and_without_warnings() -> None:
    told = summary(some_rows(), [])
    assert "Cells without a warning, contained: 6 of 12 (50%; 95 % interval 25% to 75%) (aim 90%, missed)" in told
    assert "Cells in all, contained: 12 of 18" in told
    assert (
        "Farthest outside: 7.60 bits above the widened interval (classification, h1, epoch 9; 76.0% of its I)." in told
    )
    assert "No curve has a steady phase" in told
    assert "poor measure" not in told
    doubtful = [dataclasses.replace(row, longer_warnings="nan_recovered") for row in some_rows()]
    assert "poor measure in 18 of 18 cells (nan_recovered)" in summary(doubtful, [])


def test_the_figure_has_every_cell_twice_and_rings_those_outside(tmp_path: Path) -> None:
    path = tmp_path / "convergence.csv"
    with pytest.raises(UserError, match="run `ib convergence` first"):
        next(figure.draw(path))
    write_table(path, ConvergenceRow, some_rows())
    with drawing_style():
        ((name, drawn),) = figure.draw(path)
    assert name == "convergence"
    counts = {gid: _count(drawn, gid) for gid in ("outside", "interval", "widened", "rule")}
    assert counts == {"outside": 12, "interval": 18, "widened": 18, "rule": 1}


def _count(drawn: Figure, gid: str) -> int:
    return len(drawn.findobj(lambda artist: artist.get_gid() == gid))
