"""Counts of small layers against the entropy that is known, and the flag where counting says nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ib_analysis.brackets.plug_in import count_codes, plug_in
from ib_analysis.information.counted_table import CountedRow, counted_text
from ib_analysis.information.estimates import plug_in_entropy_bits


@settings(max_examples=50, deadline=None)
@given(bits=st.integers(1, 6), n_images=st.integers(2, 400), seed=st.integers(0, 999), concentration=st.floats(0.1, 5))
def test_it_is_the_entropy_of_the_shares_within_its_bounds(
    bits: int, n_images: int, seed: int, concentration: float
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.choice(2**bits, n_images, p=rng.dirichlet(np.full(2**bits, concentration)))
    found = plug_in(np.bincount(values, minlength=2**bits), bits)
    assert found.entropy.estimate == pytest.approx(plug_in_entropy_bits(values), abs=1e-12)
    assert found.entropy.estimate <= min(bits, math.log2(n_images)) + 1e-12
    assert 0 <= found.entropy.low <= found.entropy.estimate + 1e-12
    assert found.entropy.estimate <= found.entropy.high + 1e-12
    assert found.entropy.high <= bits
    assert (found.n_images, found.n_values) == (n_images, len(np.unique(values)))


@pytest.mark.parametrize(("bits", "n_images"), [(3, 20), (6, 100), (12, 3000), (12, 60_000)])
def test_the_bias_is_within_its_bound_and_the_interval_holds_the_truth(bits: int, n_images: int) -> None:
    rng = np.random.default_rng(bits)
    shares = rng.dirichlet(np.full(2**bits, 0.7))
    truth = float(-(shares * np.log2(shares)).sum())
    found = [plug_in(rng.multinomial(n_images, shares), bits) for _ in range(200)]
    bias = np.mean([one.entropy.estimate for one in found]) - truth
    assert -found[0].bias_bits <= bias < 0.01
    assert found[0].bias_bits == pytest.approx(math.log2(1 + (2**bits - 1) / n_images))
    held = np.mean([one.entropy.low <= truth <= one.entropy.high for one in found])
    assert held >= 0.9


def test_a_layer_that_tells_every_image_apart_is_flagged() -> None:
    rng = np.random.default_rng(0)
    few = plug_in(np.unique(rng.integers(0, 2**12, 200), return_counts=True)[1], 12)
    assert few.saturated, "4,096 equally likely values, 200 images"
    assert few.entropy.estimate < 7.7
    assert few.entropy.high >= 12 - 1e-9, "12 bits are not excluded"
    many = plug_in(np.unique(rng.integers(0, 2**12, 60_000), return_counts=True)[1], 12)
    assert not many.saturated
    assert many.bias_bits == pytest.approx(0.095, abs=5e-4)
    assert many.entropy.estimate == pytest.approx(12, abs=0.095)


def test_a_single_value_has_no_entropy() -> None:
    found = plug_in(np.array([50]), 3)
    assert (found.entropy.estimate, found.entropy.low, found.saturated) == (0.0, 0.0, False)


def test_codes_are_counted_as_vectors() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (500, 3))
    expected = np.unique(codes, axis=0, return_counts=True)[1]
    assert sorted(count_codes(codes, 2)) == sorted(expected)


def test_nothing_counted_is_refused() -> None:
    with pytest.raises(ValueError, match="no image"):
        plug_in(np.zeros(4, dtype=int), 2)


def row(**changes: object) -> CountedRow:
    values = {
        "experiment": "one", "task": "classification", "number_format": "binary", "encoder_seed": 0, "decoder_seed": 0,
        "epoch": 2, "layer": "h4", "units": 4, "code_bits": 1, "n_images": 100, "n_values": 9,
        "log2_images_bits": math.log2(100), "plug_in_bits": 3.0, "plug_in_bits_low": 2.9, "plug_in_bits_high": 3.4,
        "bias_bits": 0.2, "saturated": 0, "lower_bits": 2.0, "lower_bits_low": 1.9, "lower_bits_high": 2.1,
        "i_xh_bits": 2.5, "i_xh_bits_low": 2.4, "i_xh_bits_high": 2.6,
    }  # fmt: skip
    return CountedRow(**{**values, **changes})  # type: ignore[arg-type]


def test_the_table_sets_count_bound_and_estimate_side_by_side() -> None:
    text = counted_text([row(), row(epoch=1, plug_in_bits=1.11)])
    for cell in ("4 x 1 bits", "3.00 [2.90, 3.40]", "0.200", "6.64", "2.00 [1.90, 2.10]", "2.50 [2.40, 2.60]"):
        assert cell in text
    assert "1.11" not in text, "the last epoch alone"
    assert "!" not in text
    flagged = counted_text([row(saturated=1, lower_bits=None, lower_bits_low=None, lower_bits_high=None)])
    assert "3.00 [2.90, 3.40]!" in flagged
    assert "within a bit of log2 N" in flagged
    assert "lower end" not in flagged
    assert counted_text([]) == ""
