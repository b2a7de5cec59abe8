"""phases.csv: which rows there are, what they say, and that they come back as they were written."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from ib_analysis.artifacts import UserError
from ib_analysis.information.intervals import Bootstrap, Interval
from ib_analysis.information.phases import Phases, phases_over_images
from ib_analysis.information.phases_in_words import COMPRESSES, NOT_FOUND, NOT_JUDGED, finding
from ib_analysis.information.phases_table import CurveKey, PhaseRow, phase_rows
from ib_analysis.information.seeds import phases_over_seeds
from ib_analysis.information.table import read_table, write_table

EPOCHS = (0, 5, 10, 20)
QUICK = Bootstrap(n_resamples=199)
FALLS, RISES = (-30.0, -5.0, 0.0, -4.0), (-30.0, -20.0, -10.0, 0.0)


def measured(layers=("h1", "h2"), encoder_seeds=(0,), decoder_seeds=(0,), tasks=("classification", "autoencoding")):
    """Code lengths of curves that fall in classification and rise in autoencoding."""
    rng = np.random.default_rng(0)
    found = {}
    for task in tasks:
        mean = FALLS if task == "classification" else RISES
        for encoder_seed in encoder_seeds:
            for decoder_seed in decoder_seeds:
                for layer in layers:
                    found[CurveKey(task, "float32", layer, encoder_seed, decoder_seed)] = {
                        epoch: 50 - bits + rng.normal(size=60) + 0.02 * rng.normal()
                        for epoch, bits in zip(EPOCHS, mean, strict=True)
                    }
    return found


def test_a_row_per_curve_with_what_was_found() -> None:
    lengths = measured()
    rows = phase_rows("toy", lengths, bootstrap=QUICK)
    assert [(row.task, row.layer) for row in rows] == [
        ("classification", "h1"), ("classification", "h2"), ("autoencoding", "h1"), ("autoencoding", "h2")
    ]  # fmt: skip
    row = rows[0]
    found = phases_over_images(
        np.stack([lengths[CurveKey("classification", "float32", "h1", 0, 0)][e] for e in EPOCHS]), QUICK
    )
    assert (row.first_epoch, row.peak_epoch, row.last_epoch, row.n_checkpoints, row.n_images) == (0, 10, 20, 4, 60)
    assert (row.compression_loss_bits, row.compression_loss_bits_low) == (
        found.compression_loss.estimate, found.compression_loss.low
    )  # fmt: skip
    assert row.fitting_gain_bits_high == found.fitting_gain.high
    assert row.verdict == COMPRESSES
    assert row.finding.startswith("h1, classification: compresses by 4.")
    assert row.finding.endswith("], peak at epoch 10")
    assert rows[2].verdict == NOT_FOUND
    assert rows[2].finding == "h1, autoencoding: no compression found, peak at the end (epoch 20)"
    assert row.interval == "bootstrap over images"
    differences = lengths[CurveKey("classification", "float32", "h1", 0, 0)]
    loss = differences[20] - differences[10]
    assert row.compression_loss_variance_images == pytest.approx(loss.var(ddof=1) / 60)
    assert row.compression_loss_variance_encoder_seeds is None


def test_several_seeds_add_a_row_over_them() -> None:
    lengths = measured(layers=("h1",), encoder_seeds=(3, 0, 1), decoder_seeds=(0, 1), tasks=("classification",))
    rows = phase_rows("toy", lengths, bootstrap=QUICK)
    seeds = [(row.encoder_seed, row.decoder_seed) for row in rows]
    assert seeds == [(0, 0), (0, 1), (1, 0), (1, 1), (3, 0), (3, 1), (None, None)]
    over = rows[-1]
    grid = np.array(
        [
            [[lengths[CurveKey("classification", "float32", "h1", e, d)][epoch] for epoch in EPOCHS] for d in (0, 1)]
            for e in (0, 1, 3)
        ]
    )
    assert over.compression_loss_bits_low == phases_over_seeds(grid, QUICK).compression_loss.low
    assert (over.n_encoder_seeds, over.n_decoder_seeds) == (3, 2)
    assert over.interval == "t over 3 encoder seeds"
    assert over.compression_loss_variance_decoder_seeds is not None
    assert over.finding.startswith("h1, classification, mean of 3 encoder x 2 decoder seeds: compresses by ")
    assert rows[1].finding.startswith("h1, classification, seeds 0/1: ")
    for row in rows[:-1]:
        alone = phase_rows(
            "toy",
            {
                key: value
                for key, value in lengths.items()
                if (key.encoder_seed, key.decoder_seed) == (row.encoder_seed, row.decoder_seed)
            },
            bootstrap=QUICK,
        )
        assert dataclasses.replace(row, finding="") == dataclasses.replace(alone[0], finding="")


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    lengths = measured(layers=("h1",), encoder_seeds=(0, 1))
    lengths[CurveKey("autoencoding", "int8", "h1", 0, 0)] = {0: np.zeros(60), 5: np.full(60, math.nan)}
    rows = phase_rows("toy", lengths, bootstrap=QUICK)
    write_table(tmp_path / "phases.csv", PhaseRow, rows)
    again = read_table(tmp_path / "phases.csv", PhaseRow)
    assert len(again) == len(rows) == 7
    for written, read in zip(rows, again, strict=True):
        for field in dataclasses.fields(PhaseRow):
            before, after = getattr(written, field.name), getattr(read, field.name)
            if isinstance(before, float):
                assert after == pytest.approx(before, rel=1e-8, nan_ok=True)
            else:
                assert after == before
                assert type(after) is type(before)
    (tmp_path / "phases.csv").write_text("task,layer\n")
    with pytest.raises(UserError, match="columns"):
        read_table(tmp_path / "phases.csv", PhaseRow)


def test_code_lengths_that_are_not_finite_are_said_to_be() -> None:
    key = CurveKey("classification", "int8", "h1", 0, 0)
    (row,) = phase_rows("toy", {key: {0: np.zeros(5), 5: np.full(5, math.inf)}}, bootstrap=QUICK)
    assert row.verdict == NOT_JUDGED
    assert row.finding == "h1, classification, int8: not judged, code lengths that are not finite"


def test_warnings_of_the_cells_that_the_numbers_are_made_of() -> None:
    lengths = measured(layers=("h1",), tasks=("classification",))
    (key,) = lengths
    warnings = {(key, 0): "nan_recovered", (key, 5): "not_finite", (key, 10): "own_null_much_worse_than_common"}
    (row,) = phase_rows("toy", lengths, warnings, QUICK)
    assert row.warnings == "nan_recovered;own_null_much_worse_than_common"  # epoch 5 is neither end nor peak
    assert row.finding.endswith("peak at epoch 10 [warning: own null much worse than common]")  # epoch 0 is the gain's


def test_a_single_checkpoint_has_no_phases() -> None:
    assert phase_rows("toy", {CurveKey("classification", "float32", "h1", 0, 0): {0: np.zeros(5)}}) == []


@pytest.mark.parametrize("fault", ["seed", "epoch", "image"])
def test_runs_that_cannot_be_compared_are_refused(fault: str) -> None:
    lengths = measured(layers=("h1",), encoder_seeds=(0, 1), decoder_seeds=(0, 1), tasks=("classification",))
    key = CurveKey("classification", "float32", "h1", 1, 1)
    if fault == "seed":
        del lengths[key]
    elif fault == "epoch":
        del lengths[key][5]
    else:
        lengths[key][5] = lengths[key][5][1:]
    with pytest.raises(ValueError, match="classification, h1"):
        phase_rows("toy", lengths, bootstrap=QUICK)


def said(loss: Interval, peak: int, p_value: float = 0.5) -> str:
    found = Phases(peak, peak, peak, Interval(1.0, 0.5, 1.5), loss, p_value)
    return finding("h1, autoencoding", found, EPOCHS)


def test_findings_in_words() -> None:
    assert said(Interval(21.34, 18.0, 24.9), 2) == (
        "h1, autoencoding: compresses by 21.3 bits [18.0, 24.9], peak at epoch 10"
    )
    assert said(Interval(3.0, 2.0, 4.0), 0).endswith("peak at epoch 0 (the start)")
    # A lower end above zero never reads as zero.
    assert said(Interval(1.2, 0.004, 2.4), 1).endswith("1.200 bits [0.004, 2.400], peak at epoch 5")
    assert said(Interval(0.21, 0.0, 0.6), 2, 0.3111) == (
        "h1, autoencoding: no compression found, 0.21 bits [0.00, 0.60] below the peak at epoch 10 (p = 0.31)"
    )
    assert said(Interval(0.0, 0.0, 3.2), 3).endswith("peak at the end (epoch 20), at most 3.2 bits lost")


# ---------------------------------------------------------------------------------------------- two ends of the fits


def halfway_of(lengths, shifts):
    """The same curves at half of the steps: (curve, epoch) -> bits by which L was longer at an epoch."""
    return {
        key: {epoch: of[epoch] + shift for epoch, shift in zip(EPOCHS, shifts, strict=True)}
        for key, of in lengths.items()
    }


def test_gain_and_loss_tell_how_far_they_moved_since_half_of_the_steps() -> None:
    lengths = measured(("h1",), encoder_seeds=(0, 1), tasks=("classification",))
    rows = phase_rows("toy", lengths, bootstrap=QUICK, halfway=halfway_of(lengths, (0.0, 0.0, 0.01, 0.0)))
    assert [row.encoder_seed for row in rows] == [0, 1, None]
    for row in rows:  # at half of the steps the peak was 0.01 bits lower
        assert row.gain_change_bits == pytest.approx(0.01)
        assert row.loss_change_bits == pytest.approx(0.01)
        assert row.warnings == ""
    once = phase_rows("toy", lengths, bootstrap=QUICK)
    assert {(row.gain_change_bits, row.loss_change_bits) for row in once} == {(None, None)}
    as_once = [dataclasses.replace(row, gain_change_bits=None, loss_change_bits=None) for row in rows]
    assert as_once == once


def test_changes_of_all_epochs_alike_cancel() -> None:
    lengths = measured(("h1",), tasks=("classification", "autoencoding"))
    for row in phase_rows("toy", lengths, bootstrap=QUICK, halfway=halfway_of(lengths, (7.0,) * 4)):
        assert row.gain_change_bits == pytest.approx(0, abs=1e-9)
        assert row.loss_change_bits == pytest.approx(0, abs=1e-9)
        assert row.warnings == ""


@pytest.mark.parametrize(
    ("shifts", "of_gain", "of_loss"),
    [
        ((0.0, 0.0, 2.0, 0.0), "gain_still_moving", "loss_still_moving"),  # gain 30 and loss 4 were 2 less
        ((0.0, 0.0, -2.0, 0.0), "gain_still_moving", "loss_still_moving"),
        ((2.0, 0.0, 0.0, 0.0), "gain_still_moving", ""),  # only the start was lower
        ((0.0, 0.0, 0.0, 2.0), "", "loss_still_moving"),  # only the end was lower
        ((0.0, 1.0, 6.0, 0.0), "gain_still_moving", "loss_still_moving;verdict_depends_on_budget"),  # the peak, the end
        ((7.0, 7.0, 7.0, 7.0), "", ""),
    ],
)
def test_gain_and_loss_that_move_beyond_their_intervals_come_with_warnings_of_their_own(
    shifts, of_gain, of_loss
) -> None:
    lengths = measured(("h1",), tasks=("classification",))
    (row,) = phase_rows("toy", lengths, bootstrap=QUICK, halfway=halfway_of(lengths, shifts))
    assert row.verdict == COMPRESSES
    assert (row.gain_warnings, row.loss_warnings) == (of_gain, of_loss)
    assert (row.doubts("fitting_gain"), row.doubts("compression_loss")) == (of_gain, of_loss)
    assert row.warnings == ";".join(name for name in (of_gain, of_loss) if name)
    # The finding is about the loss.
    named = f" [warning: {of_loss.replace('_', ' ').replace(';', ', ')}]" if of_loss else ""
    assert row.finding.endswith(f"peak at epoch 10{named}")


@pytest.mark.parametrize(
    ("epoch", "gain", "loss"), [(0, True, False), (5, False, False), (10, True, True), (20, False, True)]
)
def test_a_cells_warning_touches_the_differences_that_it_is_an_end_of(epoch, gain, loss) -> None:
    lengths = measured(("h1",), tasks=("classification",))
    (key,) = lengths
    for halfway in (None, halfway_of(lengths, (0.0,) * 4)):
        (row,) = phase_rows("toy", lengths, {(key, epoch): "nan_recovered"}, QUICK, halfway)
        assert (row.gain_warnings == "nan_recovered", row.loss_warnings == "nan_recovered") == (gain, loss)
        assert (row.warnings == "nan_recovered") == (gain or loss)


def test_a_level_that_still_moves_says_nothing_against_a_difference_whose_change_is_known() -> None:
    lengths = measured(("h1",), tasks=("classification",))
    (key,) = lengths
    moving = {(key, epoch): "information_still_moving" for epoch in EPOCHS}
    (row,) = phase_rows("toy", lengths, moving, QUICK, halfway_of(lengths, (7.0,) * 4))
    assert (row.gain_warnings, row.loss_warnings, row.warnings) == ("", "", "")
    (row,) = phase_rows("toy", lengths, moving, QUICK)  # nobody knows
    assert row.gain_warnings == row.loss_warnings == row.warnings == "information_still_moving"


def test_a_common_l0_that_is_wrong_says_nothing_against_differences_from_which_it_cancels() -> None:
    lengths = measured(("h1",), tasks=("classification",))
    (key,) = lengths
    doubts = {(key, epoch): "common_null_not_converged;common_null_rising" for epoch in EPOCHS}
    for halfway in (None, halfway_of(lengths, (0.0,) * 4)):
        (row,) = phase_rows("toy", lengths, doubts, QUICK, halfway)
        assert (row.gain_warnings, row.loss_warnings, row.warnings) == ("", "", "")


def test_a_table_from_before_they_were_told_apart_is_in_doubt_as_a_whole() -> None:
    (row,) = phase_rows("toy", measured(("h1",), tasks=("classification",)), bootstrap=QUICK)
    before = dataclasses.replace(row, warnings="phase_still_moving")
    assert before.doubts("fitting_gain") == before.doubts("compression_loss") == "phase_still_moving"


def test_a_verdict_may_flip_within_the_interval() -> None:
    rng = np.random.default_rng(3)
    noise = 3 * rng.normal(size=60)
    key = CurveKey("classification", "float32", "h1", 0, 0)
    end = {0: np.full(60, 50.0), 5: np.full(60, 20.0), 10: 21.0 + noise - noise.mean()}
    before = {**end, 10: end[10] - 0.5}
    (row,) = phase_rows("toy", {key: end}, bootstrap=QUICK, halfway={key: before})
    assert row.verdict == COMPRESSES
    assert row.warnings == "verdict_depends_on_budget"


def test_a_row_whose_curve_is_not_whole_at_half_of_the_steps_tells_no_change() -> None:
    lengths = measured(("h1",), encoder_seeds=(0, 1), tasks=("classification",))
    halfway = halfway_of(lengths, (0.0,) * 4)
    del halfway[CurveKey("classification", "float32", "h1", 1, 0)][10]
    rows = phase_rows("toy", lengths, bootstrap=QUICK, halfway=halfway)
    assert [row.gain_change_bits for row in rows] == [0, None, None]
