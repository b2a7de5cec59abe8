"""What the change between a fit's two ends makes of an estimate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from result_rows import row

from ib_analysis.information.change import (
    high_with_change,
    information_change_bits,
    information_still_moving,
    moved_beyond,
    weighty,
)
from ib_analysis.information.estimates import usable_information
from ib_analysis.information.intervals import Interval
from ib_analysis.information.summary import _notes

lengths = st.lists(st.tuples(*[st.floats(0, 1e4)] * 3), min_size=2, max_size=20)


@settings(deadline=None, max_examples=40)
@given(lengths)
def test_the_change_is_that_of_the_estimates_whatever_the_null(found):
    null, end, halfway = np.array(found).T
    expected = usable_information(null, end).estimate - usable_information(null, halfway).estimate
    assert information_change_bits(end, halfway) == pytest.approx(expected, abs=1e-6)


def test_the_change_is_of_the_same_images():
    with pytest.raises(ValueError, match="same images"):
        information_change_bits(np.zeros(3), np.zeros(4))


@settings(deadline=None)
@given(st.floats(-100, 100), st.floats(0, 50), st.floats(-100, 100))
def test_the_upper_end_grows_by_a_rise_alone(estimate, half_width, change):
    interval = Interval(estimate, estimate - half_width, estimate + half_width)
    assert high_with_change(interval, change) == interval.high + 1.25 * max(change, 0)


@pytest.mark.parametrize(
    ("half_width", "change", "expected"),
    [
        (0.1, 1.9, False),  # 10 % of 20 bits
        (0.1, 2.1, True),
        (0.1, -2.1, True),  # a fit that had found more at half of its steps
        (3.0, 2.9, False),  # half the width of the interval
        (3.0, 3.1, True),
        (3.0, math.nan, True),
        (3.0, math.inf, True),
    ],
)
def test_a_number_moves_by_more_than_its_interval_and_a_tenth(half_width, change, expected):
    assert information_still_moving(Interval(20.0, 20 - half_width, 20 + half_width), change) is expected


def test_a_phase_moves_to_either_side():
    end = Interval(5.0, 4.0, 7.0)
    assert [moved_beyond(end, Interval(bits, 0, 9)) for bits in (3.9, 4.0, 7.0, 7.1)] == [True, False, False, True]
    assert moved_beyond(end, Interval(math.nan, math.nan, math.nan))


def test_what_means_real_trouble_stays_a_warning():
    hard = ["nan_recovered", "training_too_short_to_tell", "validation_code_length_rising"]
    soft = ["validation_code_length_still_falling", "validation_code_length_rose", "asymptote_not_identified"]
    assert weighty([*hard, *soft], change_is_measured=True) == hard
    assert weighty([*hard, *soft], change_is_measured=False) == [*hard, *soft]


def test_the_closing_table_names_the_largest_change_and_the_notes():
    rows = [
        row(information_change_bits=0.5, notes="validation_code_length_still_falling"),
        row(information_change_bits=-0.75, layer="h3", notes="validation_code_length_still_falling"),
        row(),
    ]
    empty, change, note = _notes(rows)
    assert empty == ""
    assert "at most -0.75 bits (classification, h3, epoch 0)" in change
    assert note.startswith("note: validation_code_length_still_falling (cells: 2). A longer fit")
    assert _notes(rows[2:]) == []
