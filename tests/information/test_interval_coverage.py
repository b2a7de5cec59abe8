"""How often a 95 % interval of usable information covers the truth, on a model that is small enough to be exact.

The truth is E[L0 - L] of one fixed decoder: images of 2x2 pixels with three intensities and a channel that lets the
first pixel through or loses it are few enough to add up over all of them. Intervals promise no more than that: they
cover the choice of evaluation images.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from decoders import Architecture, Cell, ImageSpace, Minibatch, PixelCNNPP, PixelCNNPPConfig, code_lengths_bits
from decoders.readings import Condition
from ib_analysis.information.estimates import lower_bound, usable_information
from ib_analysis.information.intervals import Bootstrap

INTENSITIES, LOST = 3, 0.4
IMAGES = torch.tensor(list(itertools.product(range(INTENSITIES), repeat=4)), dtype=torch.uint8).view(-1, 1, 2, 2)
"""All 81 images."""


def exact_model() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every (image, whether the channel lost its first pixel): probability, L0 and L of a decoder, shape (162,)."""
    generator = torch.Generator().manual_seed(1)
    logits = 1.2 * torch.randn(len(IMAGES), generator=generator, dtype=torch.float64)
    p_image = logits.softmax(0)
    arrived = torch.nn.functional.one_hot(IMAGES[:, 0, 0, 0].long(), INTENSITIES).float()
    x = torch.cat([IMAGES, IMAGES])
    h = torch.cat([arrived, torch.zeros_like(arrived)])
    probability = torch.cat([(1 - LOST) * p_image, LOST * p_image])
    cells = (Cell("channel", "channel", (INTENSITIES,)),)
    architecture = Architecture(blocks=1, filters=4, output="categorical", dropout=0.0, condition_filters=4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        decoder = PixelCNNPP(PixelCNNPPConfig(ImageSpace(1, 2, 2, INTENSITIES), architecture, cells))
    decoder.initialise(x, Condition(h, "channel"))
    adam = torch.optim.Adam(decoder.parameters(), lr=0.01)
    weights = probability.float()
    for _ in range(80):  # maximum likelihood with all images at once: a decoder that has learned something
        adam.zero_grad()
        given = decoder(Condition(h, "channel")).log_prob(x)
        alone = decoder(batch_size=len(x)).log_prob(x)
        (-(weights * (given + alone)).sum()).backward()
        adam.step()
    minibatch = Minibatch(x, (Condition(h, "channel"),))
    null, lengths = (code_lengths_bits(decoder, [minibatch], null=null) for null in (True, False))
    return probability.numpy(), null, lengths


@pytest.mark.slow
def test_intervals_cover_the_information_of_a_fixed_decoder_as_often_as_they_say() -> None:
    probability, null, lengths = exact_model()
    truth, entropy = float(probability @ (null - lengths)), float(-(probability @ np.log2(probability)))
    assert truth > 0.3  # there is information to be covered
    repeats, n_images, covered, covered_bound = 2000, 400, 0, 0
    for repeat in range(repeats):
        rng = np.random.default_rng([7, repeat])
        drawn = rng.choice(len(probability), n_images, p=probability / probability.sum())
        bootstrap = Bootstrap(0.95, 1000, seed=repeat)
        found = usable_information(null[drawn], lengths[drawn], bootstrap)
        covered += found.low <= truth <= found.high
        bound = lower_bound(entropy, lengths[drawn], bootstrap)
        covered_bound += bound.low <= entropy - float(probability @ lengths) <= bound.high
    print(f"coverage: {covered / repeats:.4f} (usable information), {covered_bound / repeats:.4f} (lower bound)")
    assert 0.935 <= covered / repeats <= 0.965
    assert 0.935 <= covered_bound / repeats <= 0.965


def test_the_exact_model_is_one() -> None:
    """Its probabilities sum to one, and its code lengths to those of a distribution over all images."""
    probability, null, lengths = exact_model()
    assert probability.sum() == pytest.approx(1)
    assert np.exp2(-null[: len(IMAGES)]).sum() == pytest.approx(1, abs=1e-4)
    given_lost = np.exp2(-lengths[len(IMAGES) :]).sum()
    assert given_lost == pytest.approx(1, abs=1e-4)
