import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ib_analysis.artifacts import UserError
from ib_analysis.information.features import LARGEST, Standardisation, pool_features


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), st.integers(1, 200))
def test_pooling_keeps_the_limit_or_ends_at_one_position(channels, height, width, limit):
    h = torch.randn(2, channels, height, width)
    pooled = pool_features(h, limit)
    assert pooled.shape[:2] == h.shape[:2]
    assert pooled[0].numel() <= limit or pooled.shape[2:] == (1, 1)
    if h[0].numel() <= limit:
        assert pooled is h


def test_pooling_is_the_mean_of_blocks():
    h = torch.arange(16.0).reshape(1, 1, 4, 4).half()
    expected = h.numpy().astype(np.float64).reshape(2, 2, 2, 2).mean((1, 3))
    pooled = pool_features(h, 4)
    assert pooled.dtype == torch.float16
    np.testing.assert_allclose(pooled[0, 0], expected)


@pytest.mark.parametrize("shape", [(3000, 5), (2000, 5, 2, 3)])
def test_standardised_training_images_have_mean_0_and_deviation_1(shape):
    h = (torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 7 + 100).half()
    z = Standardisation.of(h)(h).double()
    axes = (0, 2, 3) if len(shape) == 4 else (0,)
    torch.testing.assert_close(z.mean(axes), torch.zeros(5, dtype=torch.double), atol=1e-4, rtol=0)
    torch.testing.assert_close(z.std(axes, unbiased=False), torch.ones(5, dtype=torch.double), atol=1e-4, rtol=0)


def test_constant_channels_become_0_and_outliers_are_clipped():
    h = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    h[:, 1] = 0.1
    standardise = Standardisation.of(h)
    assert standardise(h)[:, 1].abs().max() == 0
    new = standardise(torch.tensor([[1e30, 5.0], [-float("inf"), 5.0]]))
    assert new.tolist() == [[LARGEST, 0.0], [-LARGEST, 0.0]]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_activations_that_are_not_finite_are_named(bad):
    h = torch.zeros(10, 3)
    h[4, 1] = bad
    with pytest.raises(UserError, match="not finite"):
        Standardisation.of(h)
