"""The entropy code per channel against its closed form, and as a bound on the entropy."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ib_analysis.brackets import ChannelCode


@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**31 - 1))
def test_code_lengths_are_those_of_krichevsky_and_trofimov(channels: int, bits: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    fitted = rng.integers(2**bits, size=(7, channels, 2, 3))
    coded = rng.integers(2**bits, size=(5, channels, 2, 3))
    code = ChannelCode(channels, bits)
    code.count(fitted[:3])
    code.count(fitted[3:])
    expected = []
    for image in coded:
        total = 0.0
        for channel in range(channels):
            known = fitted[:, channel].ravel().tolist()
            for value in image[channel].ravel():
                total -= math.log2((known.count(value) + 0.5) / (len(known) + 2**bits / 2))
        expected.append(total)
    np.testing.assert_allclose(code.code_lengths_bits(coded), expected, rtol=1e-12)


def test_vectors_are_channels_of_one_unit() -> None:
    code = ChannelCode(2, 2)
    code.count(np.array([[0, 3], [0, 3]]))
    np.testing.assert_allclose(
        code.code_lengths_bits(np.array([[0, 3], [1, 3]])),
        [-2 * math.log2(2.5 / 4), -math.log2(0.5 / 4) - math.log2(2.5 / 4)],
    )


def test_the_mean_length_of_other_images_approaches_the_entropy_of_independent_units_from_above() -> None:
    rng = np.random.default_rng(0)
    shares = np.array([0.7, 0.2, 0.1, 0.0])
    draws = rng.choice(4, p=shares, size=(20_000, 1, 4))
    code = ChannelCode(1, 2)
    code.count(draws[:10_000])
    entropy = -4 * np.sum(shares[:3] * np.log2(shares[:3]))
    lengths = code.code_lengths_bits(draws[10_000:])
    error = lengths.std() / math.sqrt(len(lengths))
    assert entropy - 3 * error < lengths.mean() < entropy + 3 * error + 0.01
