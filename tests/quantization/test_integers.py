"""The quantizers against an independent float64 version written from the equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ib_analysis.quantization.integers import (
    fake_quantize_signed,
    fake_quantize_unsigned,
    signed_codes,
    signed_scale,
    unsigned_codes,
    unsigned_scale,
    weight_bound,
)

EPS32 = 2.0**-23

BITS = st.integers(2, 8)
# Powers of two times small whole numbers: products with a power-of-two scale are exact, so that ties are ties.
NUMBERS = st.lists(
    st.one_of(
        st.just(0.0),
        st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False),
        st.builds(lambda m, e: m * 2.0**e, st.integers(-64, 64), st.integers(-20, 20)),
    ),
    min_size=1,
    max_size=30,
)


def naive(values: list[float], scale: float, shift: float, low: int, high: int) -> list[int]:
    """clip(floor(x s + shift), low, high), one by one; x s + shift is rounded to float32 as the code rounds it."""
    with np.errstate(over="ignore"):
        shifted = [float(np.float32(value) * np.float32(scale) + np.float32(shift)) for value in values]
    return [low if value < low else high if value > high else math.floor(value) for value in shifted]


@given(NUMBERS, BITS)
def test_signed_codes_agree_with_the_equations(values: list[float], bits: int) -> None:
    x = torch.tensor(values)
    bound = x.abs().max()
    scale = signed_scale(bound, bits)
    assert float(scale) == pytest.approx((2 ** (bits - 1) - 1) / (float(bound) + EPS32), rel=1e-6)
    assert signed_codes(x, scale, bits).tolist() == naive(
        values, float(scale), 0.5, -(2 ** (bits - 1) - 1), 2 ** (bits - 1) - 1
    )


@given(NUMBERS, BITS, st.floats(0.0, 100.0, width=32))
def test_unsigned_codes_agree_with_the_equations(values: list[float], bits: int, bound: float) -> None:
    x = torch.tensor(values)
    scale = unsigned_scale(torch.tensor(bound), bits)
    assert float(scale) == pytest.approx(2**bits / (bound + EPS32), rel=1e-6)
    assert unsigned_codes(x, scale, bits).tolist() == naive(values, float(scale), 0.0, 0, 2**bits - 1)


@given(st.integers(-200, 200), BITS)
def test_ties_are_rounded_up(half_steps: int, bits: int) -> None:
    limit = 2 ** (bits - 1) - 1
    found = signed_codes(torch.tensor(half_steps / 2), torch.tensor(1.0), bits)
    assert float(found) == max(-limit, min(limit, math.floor(half_steps / 2 + 0.5)))


@pytest.mark.parametrize("bits", range(2, 9))
def test_dequantized_numbers_are_within_a_step_and_unsigned_ones_below(bits: int) -> None:
    x = torch.rand(1000, generator=torch.Generator().manual_seed(bits)) * 3
    bound = x.max()
    signed, unsigned = fake_quantize_signed(x, bound, bits), fake_quantize_unsigned(x, bound, bits)
    assert (signed - x).abs().max() <= 0.5 / signed_scale(bound, bits) + 1e-5
    assert (unsigned <= x + 1e-5).all(), "the left edge of the bin"
    assert (x - unsigned).max() <= 1 / unsigned_scale(bound, bits) + 1e-5


@pytest.mark.parametrize("fake_quantize", [fake_quantize_signed, fake_quantize_unsigned])
def test_zeros_stay_zero_and_finite(fake_quantize: object) -> None:
    assert fake_quantize(torch.zeros(3), torch.tensor(0.0), 4).tolist() == [0.0, 0.0, 0.0]  # type: ignore[operator]


def test_weight_bounds_are_per_output_channel() -> None:
    weight = torch.tensor([[[[1.0, -3.0]]], [[[0.0, 0.0]]], [[[0.25, 0.5]]]])
    assert weight_bound(weight).shape == (3, 1, 1, 1)
    assert weight_bound(weight).flatten().tolist() == [3.0, 0.0, 0.5]


@given(st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=20), BITS)
def test_gradients_pass_rounding_and_stop_at_the_clip(values: list[float], bits: int) -> None:
    x = torch.tensor(values, requires_grad=True)
    scale = torch.tensor(2.0**bits / 2)
    for codes, rounded, low, high in (
        (signed_codes, (x * scale + 0.5).floor(), -(2 ** (bits - 1) - 1), 2 ** (bits - 1) - 1),
        (unsigned_codes, (x * scale).floor(), 0, 2**bits - 1),
    ):
        x.grad = None
        codes(x, scale, bits).sum().backward()
        inside = (rounded >= low) & (rounded <= high)  # whole bins lie on the limits, which belong to the range
        assert x.grad is not None
        assert torch.equal(x.grad, inside * scale)


def test_no_gradient_through_scales() -> None:
    bound = torch.tensor(1.5, requires_grad=True)
    weight = torch.tensor([[1.0, -2.0]], requires_grad=True)
    fake_quantize_unsigned(torch.ones(3, requires_grad=True), bound, 4).sum().backward()
    assert bound.grad is None
    fake_quantize_signed(weight, weight_bound(weight), 4).sum().backward()
    assert weight.grad is not None
    # Were the bound differentiated, the gradient of its own weight would not be 1.
    assert torch.allclose(weight.grad, torch.ones(1, 2))


@pytest.mark.parametrize("bits", [1, 9])
def test_widths_that_aqt_does_not_have_are_refused(bits: int) -> None:
    for scale in (signed_scale, unsigned_scale):
        with pytest.raises(ValueError, match="2 to 8 bits"):
            scale(torch.tensor(1.0), bits)
