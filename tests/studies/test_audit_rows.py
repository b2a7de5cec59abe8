"""Gaps between shared and dedicated decoders, against naive computations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ib_analysis.information.intervals import Bootstrap, paired_bootstrap_interval
from ib_analysis.studies.audit.hysteresis import hysteresis_rows
from ib_analysis.studies.audit.rows import AuditRow, Cost, Measured, Place, audit_row, pool
from ib_analysis.studies.audit.summary import audit_summary, best_remedy, hysteresis_summary

BOOTSTRAP = Bootstrap(0.9, 200, 3)
COST = Cost(10.0, 320.0, 1e9, 2.0)


def measured(bits: np.ndarray, own_null: np.ndarray | None = None, warnings: tuple[str, ...] = ()) -> Measured:
    return Measured(bits, own_null, COST, warnings)


@given(seed=st.integers(0, 1000), n_cells=st.integers(1, 4), n_images=st.integers(2, 20))
@settings(max_examples=25, deadline=None)
def test_all_numbers_of_a_row_are_those_of_a_naive_loop(seed: int, n_cells: int, n_images: int) -> None:
    rng = np.random.default_rng(seed)
    null = rng.normal(30, 2, n_images)
    shared, dedicated, shared_null, own_null = rng.normal(20, 3, (4, n_cells, n_images))
    row = audit_row(
        "toy", "none", Place(n_cells=n_cells), 5, null,
        pool([measured(*pair) for pair in zip(shared, shared_null, strict=True)]),
        pool([measured(*pair) for pair in zip(dedicated, own_null, strict=True)]),
        BOOTSTRAP,
    )  # fmt: skip
    differences = [
        sum(dedicated[cell][image] - shared[cell][image] for cell in range(n_cells)) / n_cells
        for image in range(n_images)
    ]
    assert row.gap_bits == pytest.approx(sum(differences) / n_images)
    # Resampling images, all cells with the same ones, is resampling the images' mean differences.
    expected = paired_bootstrap_interval(np.array(differences), 0.9, 200, 3)
    assert (row.gap_bits_low, row.gap_bits_high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert row.code_length_bits == pytest.approx(dedicated.mean())
    assert row.shared_code_length_bits == pytest.approx(shared.mean())
    assert row.i_xh_bits == pytest.approx(null.mean() - dedicated.mean())
    assert row.shared_i_xh_bits == pytest.approx(null.mean() - shared.mean())
    assert row.own_null_i_xh_bits == pytest.approx(own_null.mean() - dedicated.mean())
    assert row.shared_own_null_i_xh_bits == pytest.approx(shared_null.mean() - shared.mean())
    # The common L0 drops out of the gap.
    assert row.gap_bits == pytest.approx(row.shared_i_xh_bits - row.i_xh_bits)


def test_a_poor_null_of_its_own_reports_more_information_with_a_longer_code() -> None:
    null = np.full(8, 30.0)
    row = audit_row(
        "toy", "none", Place(), 1, null,
        shared=measured(np.full(8, 20.0), np.full(8, 30.0)), dedicated=measured(np.full(8, 22.0), np.full(8, 35.0)),
        bootstrap=BOOTSTRAP,
    )  # fmt: skip
    assert row.gap_bits == 2  # the dedicated code is longer,
    assert row.own_null_i_xh_bits == 13  # and reports more,
    assert row.shared_own_null_i_xh_bits == 10
    assert (row.i_xh_bits, row.shared_i_xh_bits) == (8, 10)  # but not against the common L0
    assert row.warnings == "own_null_much_worse_than_common"
    assert row.shared_warnings == ""


def test_without_a_null_of_its_own_nothing_is_reported_against_it() -> None:
    row = audit_row(
        "toy", "none", Place(), 1, np.full(4, 9.0), measured(np.ones(4)), measured(np.ones(4), warnings=("w",)),
        BOOTSTRAP,
    )  # fmt: skip
    assert row.own_null_i_xh_bits is None
    assert row.shared_own_null_i_xh_bits_low is None
    assert row.warnings == "w"


def test_pooling_different_images_is_refused() -> None:
    with pytest.raises(ValueError, match="same images"):
        pool([measured(np.ones(3)), measured(np.ones(4))])
    with pytest.raises(ValueError, match="at least one"):
        pool([])


def together(remedy: str, multiple: int, shared: float, dedicated: float) -> AuditRow:
    noise = np.linspace(-0.1, 0.1, 10)
    return audit_row(
        "toy", remedy, Place(n_cells=2), multiple, np.full(10, 30.0), measured(np.full(10, shared)),
        measured(dedicated + noise), BOOTSTRAP,
    )  # fmt: skip


def test_the_verdict_is_about_the_longest_fits_and_the_best_remedy_has_the_shortest_code() -> None:
    rows = [together("none", 1, 20, 22), together("none", 10, 20, 19)]
    assert "10 times its cost per cell): missed; dedicated - shared = -1.00" in audit_summary(rows)
    assert best_remedy(rows) == "none"
    rows += [together("larger_trunk", 1, 18, 22), together("larger_trunk", 10, 18, 19)]
    text = audit_summary(rows)
    assert best_remedy(rows) == "larger_trunk"
    assert text.endswith("Shortest mean code: larger_trunk.")
    lines = [line for line in text.splitlines() if line.startswith(("larger_trunk", "none"))]
    assert [line.split()[0] for line in lines] == ["larger_trunk", "none"]
    assert lines[0].endswith("reached")


def test_sweeps_are_compared_image_by_image_and_at_once() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.normal(20, 5, (3, 2, 40))
    sweeps = [
        (
            epoch,
            Measured(there, None, Cost(10.0 * (k + 1), 0, 0, 0)),
            Measured(back, None, Cost(10.0 * (3 - k), 0, 0, 0)),
        )
        for k, (epoch, (there, back)) in enumerate(zip((0, 2, 5), lengths, strict=True))
    ]
    rows = hysteresis_rows("toy", Place("classification", "float32", 0, 0, None, "h3"), sweeps, BOOTSTRAP)
    assert [row.epoch for row in rows] == [0, 2, 5, None]
    assert [row.forward_steps for row in rows] == [10, 20, 30, 20]
    assert [row.backward_steps for row in rows] == [30, 20, 10, 20]
    for row, (there, back) in zip(rows, lengths, strict=False):
        wider = paired_bootstrap_interval(there - back, 1 - 0.1 / 3, 200, 3)
        assert row.difference_bits == pytest.approx(there.mean() - back.mean())
        assert (row.difference_bits_low, row.difference_bits_high) == pytest.approx((wider.low, wider.high))
        narrow = paired_bootstrap_interval(there - back, 0.9, 200, 3)
        assert wider.high - wider.low > narrow.high - narrow.low
    mean = paired_bootstrap_interval((lengths[:, 0] - lengths[:, 1]).mean(0), 0.9, 200, 3)
    assert rows[-1].difference_bits_low == pytest.approx(mean.low)
    seen = sum(not row.difference_bits_low <= 0 <= row.difference_bits_high for row in rows[:-1])
    assert f"in {seen} of 3 epochs" in hysteresis_summary(rows)
