"""Bit-packed codes: whatever fits comes back, in as few bytes as there can be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ib_analysis.activations.codes import pack_codes, pack_rows, packed_bytes, unpack_codes, unpack_rows


@given(st.data(), st.integers(1, 8), st.booleans(), st.integers(0, 40))
def test_codes_come_back(data: st.DataObject, bits: int, signed: bool, count: int) -> None:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    codes = np.array(data.draw(st.lists(st.integers(low, high), min_size=count, max_size=count)), dtype=np.int64)
    packed = pack_codes(codes, bits)
    assert packed.dtype == np.uint8
    assert len(packed) == packed_bytes(count, bits) == int(np.ceil(count * bits / 8))
    found = unpack_codes(packed, (count,), bits, signed)
    assert found.dtype == (np.int8 if signed else np.uint8)
    assert found.tolist() == codes.tolist()


@given(st.lists(st.integers(0, 7), min_size=1, max_size=20))
def test_the_bits_are_the_codes_written_out(codes: list[int]) -> None:
    text = "".join(f"{code:03b}" for code in codes)
    text += "0" * (-len(text) % 8)
    assert pack_codes(np.array(codes), 3).tolist() == [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]


@pytest.mark.parametrize("codes", [[4], [-3], [-1, 3]])
def test_codes_that_do_not_fit_are_refused(codes: list[int]) -> None:
    with pytest.raises(ValueError, match="do not fit into 2 bits"):
        pack_codes(np.array(codes), 2)


def test_a_wrong_number_of_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="take 2 bytes, not 3"):
        unpack_codes(np.zeros(3, dtype=np.uint8), (4,), 4, signed=False)


@pytest.mark.parametrize("bits", [1, 3, 4, 8])
def test_every_row_can_be_read_alone(bits: int) -> None:
    codes = np.random.default_rng(bits).integers(0, 2**bits, size=(5, 2, 3))
    packed = pack_rows(codes, bits)
    assert packed.shape == (5, packed_bytes(6, bits))
    for row, expected in zip(packed, codes, strict=True):
        np.testing.assert_array_equal(row, pack_codes(expected, bits))
        np.testing.assert_array_equal(unpack_rows(row[None], (2, 3), bits, signed=False)[0], expected)
