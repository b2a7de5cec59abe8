"""Cached sampling draws the same pixels as naive sampling from the same random numbers."""

from __future__ import annotations

import pytest
import torch
from decoder_builders import CELLS, build, conditions
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders import ImageSpace, PixelCNNPP
from decoders.sampling.sample import sample_naive


def assert_same(decoder: PixelCNNPP, **arguments: object) -> None:
    distribution = decoder(**arguments)
    image = decoder.config.image
    shape = (distribution.batch_size, image.height, image.width, decoder.output.n_uniforms)
    uniforms = torch.rand(shape, dtype=torch.float64)
    cached = distribution.sample(uniforms=uniforms)
    assert cached.dtype == torch.uint8
    assert cached.shape == (shape[0], image.channels, image.height, image.width)
    assert torch.equal(cached, sample_naive(distribution, uniforms=uniforms))
    assert len(cached.unique()) > 1, "an image of one value shows nothing"


@pytest.mark.parametrize("output", ["logistic_mixture", "categorical"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["conditional", "null", "mixed", "without cells"])
def test_same_pixels_with_three_resolutions(output: str, channels: int, kind: str) -> None:
    cells = () if kind == "without cells" else CELLS
    options = {"resolutions": 3, "filters": 4, "blocks": 2, "fourier_features": True}
    decoder = build(ImageSpace(channels, 8, 8, 16), output, cells, **options)
    assert len(decoder.sizes) == 3
    if kind in ("null", "without cells"):
        assert_same(decoder, batch_size=3)
    else:
        mask = torch.tensor([True, False, False]) if kind == "mixed" else None
        assert_same(decoder, condition=conditions(CELLS, each=1), null_mask=mask)


@settings(max_examples=12, deadline=None)
@given(
    height=st.integers(1, 10),
    width=st.integers(2, 10),
    blocks=st.integers(1, 2),
    intensities=st.sampled_from([2, 17, 256]),
    seed=st.integers(0, 1000),
)
def test_same_pixels_at_any_size(height: int, width: int, blocks: int, intensities: int, seed: int) -> None:
    image = ImageSpace(1, height, width, intensities)
    decoder = build(image, "categorical" if seed % 2 else "logistic_mixture", blocks=blocks, filters=3, seed=seed)
    assert_same(decoder, batch_size=8)


def test_same_pixels_at_the_adapted_resolutions() -> None:
    decoder = build(ImageSpace(3, 16, 16), cells=CELLS)
    assert len(decoder.sizes) == 3
    assert_same(decoder, condition=conditions(CELLS, each=1))


def test_same_pixels_with_four_resolutions_down_to_one_pixel() -> None:
    assert_same(build(ImageSpace(1, 8, 16, 16), "categorical", resolutions=4), batch_size=3)


def test_dropout_is_off_and_the_mode_is_kept() -> None:
    decoder = build(ImageSpace(1, 4, 4, 16), dropout=0.9).train()
    assert_same(decoder, batch_size=4)
    assert decoder.training


def test_a_generator_makes_samples_reproducible() -> None:
    decoder = build(ImageSpace(1, 4, 4, 16)).float()
    distribution = decoder(batch_size=5)
    first, second, third = (distribution.sample(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)
    assert decoder().sample().shape == (1, 1, 4, 4)


def test_samples_can_be_scored_and_trained_on() -> None:
    decoder = build(ImageSpace(1, 4, 4, 16), cells=CELLS)
    distribution = decoder(conditions(CELLS, each=1))
    distribution.log_prob(distribution.sample()).sum().backward()


def test_uniforms_of_the_wrong_shape_are_refused() -> None:
    decoder = build(ImageSpace(1, 4, 4, 16))
    with pytest.raises(ValueError, match="uniforms must be"):
        decoder(batch_size=2).sample(uniforms=torch.rand(3, 4, 4, 2))
