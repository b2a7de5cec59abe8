"""What follows a product, folded into a threshold, against the same decided in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ib_analysis.binary.packed_thresholds import batch_norm_thresholds, fold

QUARTERS = st.integers(-40, 40).map(lambda whole: whole / 4)


def norm_of(
    gamma: list[float], beta: list[float], mean: list[float], variance: list[float], eps: float
) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(len(gamma), eps=eps).double().eval()
    with torch.no_grad():
        assert norm.running_mean is not None
        assert norm.running_var is not None
        for place, values in (
            (norm.weight, gamma),
            (norm.bias, beta),
            (norm.running_mean, mean),
            (norm.running_var, variance),
        ):
            place.copy_(torch.tensor(values, dtype=torch.float64))
    return norm


def is_positive(gamma: float, beta: float, mean: float, variance: Fraction, d: Fraction) -> bool:
    """gamma (d - mean) / sqrt(variance) + beta >= 0, with no rounding: sqrt(variance) beta against gamma (mean - d)."""
    left, right = Fraction(beta), Fraction(gamma) * (Fraction(mean) - d)
    if (left >= 0) != (right >= 0):
        return left >= 0
    return left**2 * variance >= right**2 if left >= 0 else left**2 * variance <= right**2


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.lists(st.tuples(QUARTERS, QUARTERS, QUARTERS, st.integers(1, 9)), min_size=1, max_size=4),
    st.sampled_from([0.25, 1.0, 3.0, -0.5]),
    st.sampled_from([0.0, 0.5]),
)
def test_batch_normalisation_folds_exactly_ties_included(
    n: int, channels: list[tuple[float, float, float, int]], scale: float, bias: float
) -> None:
    # Whole standard deviations and quarters of whole numbers: float64 has room for all of it, so that ties are ties.
    gamma, beta, mean, deviation = (list(column) for column in zip(*channels, strict=True))
    norm = norm_of(gamma, beta, mean, [d**2 - 0.5 for d in deviation], eps=0.5)
    found = batch_norm_thresholds(norm, n, torch.full((len(gamma),), scale), torch.full((len(gamma),), bias))
    products = np.arange(-n, n + 1, 2)[:, None].repeat(len(gamma), axis=1)
    bits = found.bits(products)
    for channel in range(len(gamma)):
        for row, d in enumerate(products[:, channel].tolist()):
            value = Fraction(scale) * d + Fraction(bias)
            exact = is_positive(gamma[channel], beta[channel], mean[channel], Fraction(deviation[channel]) ** 2, value)
            assert exact == bits[row, channel]


def test_the_layers_own_float32_arithmetic_folds_as_it_is() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(300).eval()
    with torch.no_grad():
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.weight.normal_()
        norm.bias.normal_()
        norm.running_mean.normal_(0, 20)
        norm.running_var.uniform_(1, 900)
    n = 576
    found = fold(lambda d: norm(d.float()[:, :, None, None])[:, :, 0, 0], channels=300, n=n)
    products = torch.arange(-n, n + 1, 2).float()[:, None].repeat(1, 300)
    own = norm(products[:, :, None, None])[:, :, 0, 0] >= 0
    assert np.array_equal(found.bits(products.int().numpy()), own.numpy())
    assert found.flipped.any()
    assert not found.flipped.all()


def test_channels_without_a_slope_have_the_sign_of_their_bias() -> None:
    norm = norm_of([0.0, 0.0, 0.0], [1.0, -1.0, 0.0], [3.0] * 3, [1.0] * 3, eps=0.0)
    bits = batch_norm_thresholds(norm, 5).bits(np.arange(-5, 6, 2)[:, None].repeat(3, axis=1))
    assert bits.all(0).tolist() == [True, False, True]
    assert bits.any(0).tolist() == [True, False, True]


def test_thresholds_apply_to_the_channel_axis() -> None:
    found = fold(lambda d: torch.tensor([1.0, -1.0]) * d, channels=2, n=2)
    bits = found.bits(np.array([[[[-2, 2]], [[-2, 2]]]]))
    assert bits.tolist() == [[[[False, True]], [[True, False]]]]


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda d: torch.stack([d[:, 0], d[:, 1] ** 2 - 1], 1), "changes its sign 2 times in channel 1"),
        (lambda d: d / 0 * 0, "not a number"),
    ],
)
def test_what_is_no_threshold_is_refused(function: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        fold(function, channels=2, n=4)  # type: ignore[arg-type]


def test_batch_normalisation_without_running_statistics_is_refused() -> None:
    with pytest.raises(ValueError, match="running statistics"):
        batch_norm_thresholds(nn.BatchNorm2d(3, track_running_stats=False), 5)


def test_many_values_are_computed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    from ib_analysis.binary import packed_thresholds

    sizes = []

    def function(d: Tensor) -> Tensor:
        sizes.append(len(d))
        return d - 3.5

    whole = fold(function, channels=3, n=100)
    monkeypatch.setattr(packed_thresholds, "_AT_ONCE", 30)
    parts = fold(function, channels=3, n=100)
    assert sizes[0] == 101
    assert max(sizes[1:]) == 10
    assert whole.values.tolist() == parts.values.tolist() == [4] * 3
