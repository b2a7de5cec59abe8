import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ib_analysis.information.estimates import (
    bits_per_dim,
    information_from_probes,
    lower_bound,
    plug_in_entropy_bits,
    usable_information,
)
from ib_analysis.information.intervals import Bootstrap

lengths = arrays(np.float64, 12, elements=st.floats(0, 1e4))
QUICK = Bootstrap(n_resamples=50)


def test_binary_symmetric_channel_with_the_true_decoder():
    # X a fair coin, H its copy flipped with probability e: I(X;H) = 1 - H2(e) bits.
    e, n = 0.1, 200_000
    rng = np.random.default_rng(0)
    flipped = rng.random(n) < e
    code_lengths = np.where(flipped, -math.log2(e), -math.log2(1 - e))
    truth = 1 + e * math.log2(e) + (1 - e) * math.log2(1 - e)
    usable = usable_information(np.ones(n), code_lengths, Bootstrap(n_resamples=100))
    bound = lower_bound(1.0, code_lengths, Bootstrap(n_resamples=100))
    assert usable.estimate == pytest.approx(truth, abs=0.01)
    assert bound.estimate == pytest.approx(truth, abs=0.01)
    assert usable.low < usable.estimate < usable.high


def test_a_bad_null_inflates_usable_information_but_not_the_lower_bound():
    code_lengths = np.full(10, 3.0)
    assert usable_information(np.full(10, 9.0), code_lengths, QUICK).estimate == 6.0
    assert lower_bound(8.0, code_lengths, QUICK).estimate == 5.0


@settings(max_examples=30, deadline=None)
@given(lengths, lengths, lengths)
def test_differences_of_cells_do_not_contain_the_null(null, first, second):
    difference = usable_information(first, second, QUICK).estimate
    via_null = usable_information(null, second, QUICK).estimate - usable_information(null, first, QUICK).estimate
    assert difference == pytest.approx(via_null, abs=1e-7)


def test_code_lengths_of_other_images_are_refused():
    with pytest.raises(ValueError, match="same images"):
        usable_information(np.zeros(3), np.zeros(4))


def test_probes_worse_than_guessing_are_reported_as_negative():
    found = information_from_probes(
        {"good": 2.0, "bad": 1.0, "not asked for": 5.0},
        {"good": np.array([0.5, 0.5]), "bad": np.array([1.5, 1.7])},
        QUICK,
    )
    assert list(found) == ["good", "bad"]
    assert found["good"].estimate == 1.5
    assert found["bad"].estimate == pytest.approx(-0.6)
    assert information_from_probes({}, {}) == {}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=60))
def test_plug_in_entropy_is_the_sum_over_classes(labels):
    expected = -sum(
        labels.count(value) / len(labels) * math.log2(labels.count(value) / len(labels)) for value in set(labels)
    )
    assert plug_in_entropy_bits(np.array(labels)) == pytest.approx(expected, abs=1e-12)


def test_bits_per_dim():
    assert bits_per_dim(144.0, (1, 12, 12)) == 1.0
