"""Dense cells: every operation against plain ones, what learned groups lose, and what all of it costs."""

from __future__ import annotations

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from ib_analysis.artifacts import UserError
from ib_analysis.encoders import (
    CONVOLUTIONS,
    NORMALISATIONS,
    DenseNetworkConfig,
    EncoderConfig,
    build_encoder,
    condense,
    expect_steps,
    layer_works,
    multiply_accumulates,
)
from ib_analysis.encoders.dense import DenseLayer
from ib_analysis.encoders.learned_groups import CondensedConv2d, LearnedGroupConv2d
from ib_analysis.quantization import quantize

ALL = tuple(zip(*product(NORMALISATIONS, CONVOLUTIONS), strict=True))


def images(n: int = 4) -> torch.Tensor:
    return torch.randint(256, (n, 1, 9, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def build(normalisations=("bn_relu",) * 6, convolutions=CONVOLUTIONS, seed=0, **config):
    own = DenseNetworkConfig(normalisations, convolutions, growth=4, groups=2)
    return build_encoder(
        EncoderConfig("dense", width=4, dense=own, **config), "classification", (1, 9, 8), 256, 5, seed
    )


def test_every_operation_in_one_cell() -> None:
    network = build(*ALL)
    output = network(images())
    assert output.shape == (4, 5)
    output.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in network.parameters())
    taps = network.taps(images())
    assert {name: tap.shape[2:] for name, tap in taps.items()} == {"h1": (9, 8), "h2": (5, 4), "h3": (3, 2), "h4": ()}
    # each stage hands on all that it got
    assert torch.equal(taps["h2"][:, : taps["h1"].shape[1]], F.avg_pool2d(taps["h1"], 2, ceil_mode=True))


def naive(layer: DenseLayer, kind: str, x: torch.Tensor) -> torch.Tensor:
    """The convolution group by group, in float64."""
    if kind == "3x3_depthwise":
        depthwise, pointwise = (part.weight.double() for part in layer.convolution)
        between = torch.cat(
            [F.conv2d(x[:, c : c + 1].double(), depthwise[c : c + 1], padding=1) for c in range(x.shape[1])], 1
        )
        return F.conv2d(between, pointwise)
    weight, groups = layer.convolution.weight.double(), 2 if kind.endswith("x1_group") or kind == "3x3_group" else 1
    parts = zip(x.double().chunk(groups, 1), weight.chunk(groups, 0), strict=True)
    return torch.cat([F.conv2d(inputs, own, padding=own.shape[-1] // 2) for inputs, own in parts], 1)


@pytest.mark.parametrize("kind", CONVOLUTIONS)
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_layers_are_what_they_are_called(kind: str, normalisation: str) -> None:
    torch.manual_seed(0)
    layer, x = DenseLayer(normalisation, kind, 4, 2, 2), torch.randn(3, 4, 5, 6)
    layer.train()
    y = x if normalisation == "identity" else F.batch_norm(x, None, None, training=True)
    y = y.relu() if normalisation == "bn_relu" else y
    found = layer(x)
    assert torch.equal(found[:, :4], x)
    assert torch.allclose(found[:, 4:].double(), naive(layer, kind, y), atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(2, 40), st.integers(0, 9))
def test_learned_groups_lose_the_least_and_end_as_groups(groups: int, a: int, b: int, steps: int, seed: int) -> None:
    torch.manual_seed(seed)
    layer = LearnedGroupConv2d(groups * a, groups * b, groups)
    expect_steps(layer, steps)
    layer.train()
    before = layer.mask.clone()
    for _ in range(steps):
        layer(torch.randn(2, groups * a, 2, 2))
        lost = (before > 0) & (layer.mask == 0)
        for g in range(groups):
            sums = layer.weight[g * b : (g + 1) * b, :, 0, 0].detach().abs().sum(0)
            if lost[g].any() and layer.mask[g].any():
                assert sums[lost[g]].max() <= sums[layer.mask[g] > 0].min()
        assert bool((layer.mask <= before).all())
        before = layer.mask.clone()
        with torch.no_grad():
            layer.weight.add_(0.1 * torch.randn_like(layer.weight))
    assert bool((layer.mask.sum(1) == a).all())
    x = torch.randn(2, groups * a, 3, 2)
    assert torch.allclose(CondensedConv2d(layer)(x), layer.eval()(x), atol=1e-5)


def test_inputs_are_lost_in_the_first_half_only_and_stay_lost_in_checkpoints() -> None:
    layer = LearnedGroupConv2d(8, 4, 4)
    expect_steps(layer, 60)
    done = []
    for _ in range(60):
        layer.train()(torch.randn(1, 8, 1, 1))
        done.append(layer.stages_done)
    assert done == [0] * 10 + [1] * 10 + [2] * 10 + [3] * 30
    again = LearnedGroupConv2d(8, 4, 4)
    again.load_state_dict(layer.state_dict())
    assert again.stages_done == 3
    assert torch.equal(again.effective_weight(), layer.effective_weight())
    layer.eval()(torch.randn(1, 8, 1, 1))
    assert int(layer.passes) == 31  # counted no further once all is lost, and never in evaluation


def test_costs_are_those_of_the_condensed_network() -> None:
    network = build(*ALL)
    expected, works = multiply_accumulates(network, (1, 9, 8)), layer_works(network, (1, 9, 8))
    condense(network).eval()
    with FlopCounterMode(display=False) as counter:
        network(images(1))
    assert counter.get_total_flops() == 2 * expected
    assert sum(work.weights for work in works) == sum(p.numel() for p in network.parameters() if p.ndim > 1)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"convolutions": ("1x1",)}, "3 normalisations and 1 convolutions"),
        ({"convolutions": ("1x1", "3x3", "5x5")}, "has '5x5'; choose from 1x1, 3x3"),
        ({"growth": 6}, "4 groups .* do not divide"),
        ({"cells": 0}, "cells is 0; it must be at least 1"),
    ],
)
def test_mistakes(config: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        DenseNetworkConfig(**config)


def test_further_mistakes() -> None:
    with pytest.raises(UserError, match="width is 6, which 4 groups"):
        build_encoder(EncoderConfig("dense", width=6), "classification", (1, 8, 8), 256, 5, 0)
    with pytest.raises(UserError, match="no encoder 'dense' for the task 'autoencoding'"):
        build_encoder(EncoderConfig("dense", width=4), "autoencoding", (1, 8, 8), 256, 5, 0)
    with pytest.raises(UserError, match="LearnedGroupConv2d, which is more than a plain convolution"):
        quantize(build(), "w8a8", (1, 9, 8), start=0)
