import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ib_analysis.encoders.normalisation import Normalisation


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(2, 256), st.integers(1, 40))
def test_statistics_agree_with_numpy(seed, channels, intensities, n_images):
    images = np.random.default_rng(seed).integers(0, intensities, (n_images, channels, 3, 4), dtype=np.uint8)
    normalisation = Normalisation(channels, intensities).double()
    normalisation.fit(torch.from_numpy(images))
    scaled = images / (intensities - 1)
    std = scaled.std(axis=(0, 2, 3))
    np.testing.assert_allclose(normalisation.mean.numpy(), scaled.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(normalisation.std.numpy(), np.where(std > 1e-6, std, 1.0))


def test_a_constant_channel_stays_finite():
    images = torch.full((4, 1, 5, 5), 7, dtype=torch.uint8)
    normalisation = Normalisation(1, 16)
    normalisation.fit(images)
    assert torch.equal(normalisation(images), torch.zeros(4, 1, 5, 5))


def test_all_blocks_count():
    images = torch.zeros(5000, 1, 1, 1, dtype=torch.uint8)
    images[4500:] = 1
    normalisation = Normalisation(1, 2)
    normalisation.fit(images)
    np.testing.assert_allclose(normalisation.mean.item(), 0.1, rtol=1e-6)
