import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoders.fitting import warnings as fit_warnings
from ib_analysis.information.change import ABOUT_CODE_LENGTHS
from ib_analysis.information.intervals import Interval
from ib_analysis.information.warnings import (
    EXPLANATIONS,
    NOTE_EXPLANATIONS,
    common_null_warnings,
    information_above_upper_bound,
    join_warnings,
    not_finite,
    own_null_much_worse_than_common,
    split_warnings,
)


@pytest.mark.parametrize(
    ("common", "excess", "expected"),
    [
        (50.0, 0.9, False),  # below 1 bit
        (50.0, 1.5, True),
        (1000.0, 5.0, False),  # above 1 bit, below 1 %
        (1000.0, 15.0, True),
        (1000.0, -15.0, False),  # better than the common one
    ],
)
def test_own_null_is_judged_by_one_bit_and_one_per_cent(common, excess, expected):
    common_lengths = common + np.random.default_rng(0).normal(0, 5, 500)
    assert own_null_much_worse_than_common(common_lengths, common_lengths + excess) is expected


def test_own_null_needs_the_whole_interval():
    rng = np.random.default_rng(1)
    common = np.full(30, 50.0)
    own = common + 2.0 + rng.normal(0, 20, 30)  # 2 bits worse, +- 7
    assert not own_null_much_worse_than_common(common, own)


def test_the_smallest_upper_bound_counts_for_every_estimate():
    bounds = {"H(X)": 14.3, "units x bits": 8.0}
    assert information_above_upper_bound([Interval(7.0, 6.0, 8.0), Interval(9.0, 8.5, 9.5)], bounds)
    assert not information_above_upper_bound([Interval(8.2, 7.9, 8.5)], bounds)
    assert not information_above_upper_bound([Interval(1e9, 1e9, 1e9)], {})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_not_finite(bad):
    assert not_finite([Interval(0, 0, 0), Interval(bad, 0, 0)])
    assert not_finite([Interval(0, bad, 0)])
    assert not not_finite([Interval(0, -1, 1)])


@given(st.lists(st.sampled_from(sorted(EXPLANATIONS))))
def test_names_survive_a_cell_of_the_table(names):
    assert split_warnings(join_warnings(names)) == tuple(sorted(set(names)))


def test_warnings_of_the_common_null_tell_a_rise_from_the_rest():
    assert common_null_warnings([]) == []
    rising = {fit_warnings.VALIDATION_CODE_LENGTH_RISING, fit_warnings.VALIDATION_CODE_LENGTH_ROSE}
    for name in fit_warnings.EXPLANATIONS:
        assert common_null_warnings([name]) == ["common_null_rising" if name in rising else "common_null_not_converged"]
    assert common_null_warnings(fit_warnings.EXPLANATIONS) == ["common_null_not_converged", "common_null_rising"]


def test_every_warning_of_a_fit_is_explained():
    assert set(fit_warnings.EXPLANATIONS) <= set(EXPLANATIONS)
    assert all(text.endswith(".") for text in EXPLANATIONS.values())


def test_every_note_is_explained():
    assert set(NOTE_EXPLANATIONS) >= ABOUT_CODE_LENGTHS
    assert set(common_null_warnings(ABOUT_CODE_LENGTHS)) <= set(NOTE_EXPLANATIONS)
    assert all(text.endswith(".") and text.count(". ") == 0 for text in NOTE_EXPLANATIONS.values())
