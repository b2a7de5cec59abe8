"""The probabilities of all images sum to one, and sampled frequencies are those probabilities."""

from __future__ import annotations

import pytest
import torch
from decoder_builders import all_images, build
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders import Cell, Condition, ImageSpace

SPACES = [
    (ImageSpace(1, 2, 2, 5), 2),
    (ImageSpace(1, 2, 3, 3), 1),
    (ImageSpace(1, 4, 2, 2), 2),
    (ImageSpace(1, 3, 3, 2), 1),
    (ImageSpace(3, 1, 3, 2), 1),
    (ImageSpace(3, 2, 2, 2), 2),
    (ImageSpace(3, 1, 2, 3), 1),
    (ImageSpace(3, 1, 1, 16), 1),
]


@pytest.mark.parametrize("output", ["logistic_mixture", "categorical"])
@pytest.mark.parametrize(("image", "resolutions"), SPACES, ids=str)
def test_probabilities_of_all_images_sum_to_one(image: ImageSpace, resolutions: int, output: str) -> None:
    cell = Cell("cell", "layer", (3, 1, 2))
    for fourier_features in (False, True):
        decoder = build(image, output, (cell,), resolutions=resolutions, fourier_features=fourier_features)
        images = all_images(image)
        activations = torch.randn(1, 3, 1, 2, dtype=torch.float64).expand(len(images), -1, -1, -1)
        with torch.no_grad():
            for condition in (Condition(activations, "cell"), None):
                total = decoder(condition).log_prob(images).exp().sum()
                assert abs(float(total) - 1) < 1e-6


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    intensities=st.integers(2, 4),
    blocks=st.integers(1, 2),
    output=st.sampled_from(["logistic_mixture", "categorical"]),
)
def test_normalisation_holds_for_any_weights(seed: int, intensities: int, blocks: int, output: str) -> None:
    image = ImageSpace(1, 2, 2, intensities)
    decoder = build(image, output, seed=seed, blocks=blocks, resolutions=2)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter += torch.randn_like(parameter)
        assert abs(float(decoder().log_prob(all_images(image)).exp().sum()) - 1) < 1e-6


@pytest.mark.parametrize("output", ["logistic_mixture", "categorical"])
@pytest.mark.parametrize(("image", "resolutions"), [SPACES[0], SPACES[4]], ids=str)
def test_sampled_frequencies_are_the_probabilities(image: ImageSpace, resolutions: int, output: str) -> None:
    decoder = build(image, output, resolutions=resolutions)
    images = all_images(image)
    n = 40_000
    drawn = decoder(batch_size=n).sample(torch.Generator().manual_seed(1)).long()
    place = torch.tensor([image.intensities**k for k in reversed(range(images[0].numel()))])
    counts = torch.bincount((drawn.flatten(1) * place).sum(1), minlength=len(images)).double()
    with torch.no_grad():
        expected = n * decoder().log_prob(images).exp()
    # Pearson's statistic over cells that are not too rare: mean k, standard deviation sqrt(2 k).
    common = expected > 5
    k = int(common.sum())
    assert k > 20
    statistic = float(((counts - expected)[common] ** 2 / expected[common]).sum())
    assert abs(statistic - k) < 6 * (2 * k) ** 0.5
