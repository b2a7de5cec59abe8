"""The variance split: exact cases, and no bias where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from ib_analysis.information.variance import variance_split


def test_effects_without_rest_are_found_exactly() -> None:
    """Orthogonal effects: value = encoder + decoder + image; every mean square is a sum that is known."""
    encoder = np.array([-3.0, 0.0, 3.0])  # variance 9
    decoder = np.array([[-1.0, 1.0], [-2.0, 2.0], [-3.0, 3.0]])  # variances 2, 8, 18: mean 28 / 3
    image = np.array([-2.0, -2.0, 2.0, 2.0])  # variance 16 / 3
    split = variance_split(7 + encoder[:, None, None] + decoder[:, :, None] + image)
    assert split.images == pytest.approx(16 / 3 / 4)
    assert split.decoder_seeds == pytest.approx(28 / 3)
    assert split.encoder_seeds == pytest.approx(9 - 28 / 3 / 2)


def test_one_seed_leaves_only_the_images() -> None:
    values = np.array([[[1.0, 2.0, 3.0, 6.0]]])
    split = variance_split(values)
    assert split.images == pytest.approx(values.var(ddof=1) / 4)
    assert split.encoder_seeds is None
    assert split.decoder_seeds is None


def test_seeds_that_differ_by_image_noise_alone_have_no_variance_on_average() -> None:
    rng = np.random.default_rng(0)
    splits = [variance_split(rng.normal(size=(3, 2, 8))) for _ in range(3000)]
    assert np.mean([split.encoder_seeds for split in splits]) == pytest.approx(0, abs=0.008)
    assert np.mean([split.decoder_seeds for split in splits]) == pytest.approx(0, abs=0.008)
    assert min(split.decoder_seeds for split in splits) < 0  # not clipped: clipping would be a bias


@pytest.mark.parametrize(("n_encoders", "n_decoders"), [(3, 2), (1, 4), (4, 1)])
def test_is_unbiased(n_encoders: int, n_decoders: int) -> None:
    encoder, decoder, image, rest, n_images = 2.0, 1.0, 3.0, 1.5, 5
    rng = np.random.default_rng(1)
    n = 8_000
    values = (
        encoder * rng.normal(size=(n, n_encoders, 1, 1))
        + decoder * rng.normal(size=(n, n_encoders, n_decoders, 1))
        + image * rng.normal(size=(n, 1, 1, n_images))
        + rest * rng.normal(size=(n, n_encoders, n_decoders, n_images))
    )
    splits = [variance_split(one) for one in values]
    assert np.mean([split.images for split in splits]) == pytest.approx((image**2 + rest**2) / n_images, rel=0.05)
    if n_decoders > 1:
        assert np.mean([split.decoder_seeds for split in splits]) == pytest.approx(decoder**2, rel=0.06)
    if n_encoders > 1:  # a single decoder each cannot be told from its encoder
        truth = encoder**2 + (decoder**2 if n_decoders == 1 else 0)
        assert np.mean([split.encoder_seeds for split in splits]) == pytest.approx(truth, rel=0.08)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 2, 1), (0, 1, 4)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="encoder seeds, decoder seeds, images"):
        variance_split(np.zeros(shape))
