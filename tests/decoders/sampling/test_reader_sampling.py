"""Readers are sampled exactly: with cached features as naively, and as often as their probabilities say."""

from __future__ import annotations

import pytest
import torch
from decoder_builders import CELLS, all_images, conditions
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_builders import OUTPUTS, fitted_reader

from decoders import Cell, ImageSpace, Reader
from decoders.sampling.sample import sample_naive


def assert_same(reader: Reader, **arguments: object) -> torch.Tensor:
    distribution = reader(**arguments)
    image = reader.config.image
    uniforms = torch.rand(
        (distribution.batch_size, image.height, image.width, reader.output.n_uniforms), dtype=torch.float64
    )
    cached = distribution.sample(uniforms=uniforms)
    assert torch.equal(cached, sample_naive(distribution, uniforms=uniforms))
    assert len(cached.unique()) > 1, "an image of one value shows nothing"
    return cached


@pytest.mark.parametrize(("output", "channels"), OUTPUTS)
@pytest.mark.parametrize("kind", ["conditional", "null", "mixed"])
def test_same_pixels_as_naive_sampling(output: str, channels: int, kind: str) -> None:
    reader = fitted_reader(ImageSpace(channels, 6, 5, 16), output, resolutions=1, fourier_features=True)
    if kind == "null":
        assert_same(reader, batch_size=4)
        return
    mask = torch.tensor([True, False, False, True, False, True]) if kind == "mixed" else None
    assert_same(reader, condition=conditions(CELLS), null_mask=mask)


@settings(max_examples=6, deadline=None)
@given(height=st.integers(1, 6), width=st.integers(1, 6), seed=st.integers(0, 1000), kind=st.sampled_from(OUTPUTS))
def test_same_pixels_at_any_size(height: int, width: int, seed: int, kind: tuple[str, int]) -> None:
    output, channels = kind
    cells = (Cell("cell", "layer", (2, 3, 2)),)
    reader = fitted_reader(ImageSpace(channels, height, width + 1, 17), output, cells, seed, filters=3)
    assert_same(reader, condition=conditions(cells, 5))


def test_same_pixels_with_three_resolutions() -> None:
    reader = fitted_reader(ImageSpace(1, 8, 8, 16), "categorical", resolutions=3, filters=4)
    assert_same(reader, condition=conditions(CELLS, 1), null_mask=torch.tensor([False, True, False]))


@pytest.mark.parametrize("kind", ["mask", "null"])
def test_under_the_null_condition_samples_are_those_of_the_base_as_the_reader_knows_it(kind: str) -> None:
    """Features are rounded to float16 in samples as in code lengths: at the edge of an intensity, one bin decides."""
    reader = fitted_reader(ImageSpace(1, 4, 4, 64), "categorical")
    with torch.no_grad():
        reader.base.readout.gain.mul_(30)
    n = 200
    uniforms = torch.rand(n, 4, 4, 1, dtype=torch.float64)
    if kind == "null":
        distribution = reader(batch_size=n)
    else:
        distribution = reader(conditions(CELLS[:1], n), torch.ones(n, dtype=torch.bool))
    # Uniforms at the very edges of the first pixel's intensities, by the rounded features.
    with torch.no_grad():
        logits = distribution._parameters(torch.zeros(n, 1, 4, 4).long())[0, :, 0, 0]
    edges = logits.softmax(0).cumsum(0)[:-1]
    uniforms[:, 0, 0, 0] = (edges[torch.arange(n) % len(edges)] + 1e-9 * (-1.0) ** torch.arange(n)).clamp(0, 1 - 1e-9)
    assert torch.equal(distribution.sample(uniforms=uniforms), sample_naive(distribution, uniforms=uniforms))


@pytest.mark.parametrize(("output", "channels"), OUTPUTS)
def test_sampled_frequencies_are_the_probabilities(output: str, channels: int) -> None:
    image = ImageSpace(1, 2, 2, 4) if channels == 1 else ImageSpace(3, 1, 2, 3)
    cells = (Cell("cell", "layer", (3,)),)
    reader = fitted_reader(image, output, cells)
    images, n = all_images(image), 30_000
    given = torch.randn(1, 3, dtype=torch.float64)
    drawn = reader(given.expand(n, -1)).sample(torch.Generator().manual_seed(1)).long()
    place = torch.tensor([image.intensities**k for k in reversed(range(images[0].numel()))])
    counts = torch.bincount((drawn.flatten(1) * place).sum(1), minlength=len(images)).double()
    with torch.no_grad():
        expected = n * reader(given.expand(len(images), -1)).log_prob(images).exp()
        plain = n * reader().log_prob(images).exp()
    common = expected > 5
    k = int(common.sum())
    assert k > 20

    def statistic(wanted: torch.Tensor) -> float:
        return float(((counts - wanted)[common] ** 2 / wanted[common]).sum())

    # Pearson's statistic: mean k, standard deviation sqrt(2 k).
    assert abs(statistic(expected) - k) < 6 * (2 * k) ** 0.5
    assert statistic(plain) > 2 * k, "the base's probabilities would have done as well"


def test_samples_of_float32_can_be_reproduced_and_scored() -> None:
    reader = fitted_reader(ImageSpace(1, 4, 4, 16)).float()
    given = [condition.map(torch.Tensor.float) for condition in conditions(CELLS)]
    first, second = (reader(given).sample(torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.dtype == torch.uint8
    reader(given).log_prob(first).sum().backward()
    with pytest.raises(ValueError, match="uniforms must be"):
        reader(given).sample(uniforms=torch.rand(2, 4, 4, 11))
