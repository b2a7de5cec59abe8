"""The density of a layer's codes: a normalised distribution, causal over planes, and better than coding units alone."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from decoders import Architecture, FittingConfig, PixelCNNPP, fit
from ib_analysis.activations import Groups
from ib_analysis.brackets import PlaneFeed, plane_code_lengths_bits, plane_network

SMALL = Architecture(blocks=1, filters=6, output="categorical", dropout=0.0, condition_filters=4)


def model(shape: tuple[int, ...], bits: int) -> PixelCNNPP:
    torch.manual_seed(0)
    decoder = PixelCNNPP(plane_network(shape, bits, SMALL)).double().eval()
    with torch.no_grad():
        for tensor in decoder.parameters():  # far from the start, where all probabilities are nearly equal
            tensor.add_(0.5 * torch.randn_like(tensor))
    return decoder


def every_layer(shape: tuple[int, ...], bits: int) -> Tensor:
    values = list(itertools.product(range(2**bits), repeat=math.prod(shape)))
    return torch.tensor(values).view(-1, *shape)


@pytest.mark.parametrize(("shape", "bits"), [((2, 2, 2), 1), ((3,), 2), ((2, 1, 2), 2)])
def test_probabilities_of_all_layers_sum_to_one(shape: tuple[int, ...], bits: int) -> None:
    lengths = plane_code_lengths_bits(model(shape, bits), every_layer(shape, bits).split(50))
    assert len(lengths) == 2 ** (bits * math.prod(shape))
    np.testing.assert_allclose(np.sum(2.0**-lengths), 1.0, atol=1e-6)
    assert lengths.std() > 0.1


@torch.no_grad()
def test_a_plane_depends_on_the_planes_before_it_alone() -> None:
    decoder, shape = model((3, 2, 2), 2), (3, 2, 2)
    codes = torch.randint(4, (1, *shape), generator=torch.Generator().manual_seed(1))

    def by_plane(layer: Tensor) -> list[float]:
        feed = PlaneFeed(lambda group: layer, Groups(1, 0, 0, 1), 3, 1, 1)
        pairs = [feed._assemble([(0, plane)], "") for plane in range(3)]
        return [float(decoder(pair.condition).log_prob(pair.images)) for pair in pairs]

    changed = codes.clone()
    changed[:, 1] = 3 - changed[:, 1]
    before, after = by_plane(codes), by_plane(changed)
    assert before[0] == after[0]
    assert before[1] != after[1]
    assert before[2] != after[2]
    np.testing.assert_allclose(-sum(before) / math.log(2), plane_code_lengths_bits(decoder, [codes])[0])


def test_a_fitted_model_finds_what_planes_share() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(4, size=(400, 1, 2, 2))
    codes = torch.from_numpy(np.concatenate([first, 3 - first, first], axis=1))  # 8 bits of 24 are new
    groups = Groups(n_train=256, n_validation=64, n_evaluation=80, group_size=8)
    feed = PlaneFeed(lambda group: codes[slice(*groups.bounds[group])], groups, 3, 32, 96)
    torch.manual_seed(0)
    decoder = PixelCNNPP(plane_network((3, 2, 2), 2, SMALL))
    for name, (mean, deviation) in feed.standardisation().items():
        decoder.standardise(name, mean, deviation)
    settings = FittingConfig(
        steps=300, batch_size=32, learning_rate=0.01, null_share=0.0, validate_every=100, averaging=0.95
    )
    fit(decoder, feed, settings, seed=0)
    bits = plane_code_lengths_bits(decoder, feed.codes("evaluation")).mean()
    assert 8.0 <= bits < 8.3


def test_standardisation_knows_only_planes_that_are_told() -> None:
    codes = torch.tensor([[[[0, 2]], [[1, 3]]]]).repeat(4, 1, 1, 1)
    feed = PlaneFeed(lambda group: codes, Groups(4, 0, 0, 4), 2, 4, 4)
    found = feed.standardisation()
    assert [values.tolist() for values in found["plane_0000"]] == [[0, 0], [0, 0]]
    assert [values.tolist() for values in found["plane_0001"]] == [[1, 0], [1, 0]]
