"""Dropout masks belong to the minibatch: cutting it up does not change them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from decoders.dropout import Dropout, set_dropout_stream


@given(
    total=st.integers(1, 40),
    cut=st.integers(0, 40),
    seed=st.integers(-(2**70), 2**70),
    p=st.sampled_from([0.5, 0.25, 0.3, 0.9]),
)
def test_any_part_has_the_rows_of_the_whole(total, cut, seed, p):
    cut = min(cut, total)
    network = nn.Sequential(Dropout(p), nn.Identity(), Dropout(p))
    ones = torch.ones(total, 3, 2)
    set_dropout_stream(network, seed)
    whole = network(ones)
    parts = []
    for start, stop in ((0, cut), (cut, total)):
        set_dropout_stream(network, seed, offset=start, total=total)
        parts.append(network(ones[start:stop]))
    assert torch.equal(torch.cat(parts), whole)
    set_dropout_stream(network, seed)
    assert torch.equal(network(ones[:cut]), whole[:cut]), "without a total the first rows are the same too"


@pytest.mark.parametrize("p", [0.5, 0.1, 0.3, 0.002])
def test_share_of_zeros_and_scale(p):
    layer = Dropout(p)
    set_dropout_stream(layer, seed=1)
    n = 400_000
    dropped = layer(torch.ones(n // 100, 100, dtype=torch.float64))
    share = (dropped == 0).double().mean().item()
    # p is rounded to 1/65536; five standard errors of a binomial share.
    assert share == pytest.approx(p, abs=5 * np.sqrt(p * (1 - p) / n) + 1 / 65536)
    kept = dropped[dropped != 0]
    assert torch.allclose(kept, torch.full_like(kept, 1 / (1 - p)), rtol=3e-5)


def test_masks_of_layers_seeds_and_rows_are_unrelated():
    network = nn.ModuleList(Dropout(0.5) for _ in range(3))
    masks = []
    for seed in (0, 1, 2**32):
        set_dropout_stream(network, seed)
        masks += [layer(torch.ones(2, 20_000)) - 1 for layer in network]
    signs = torch.cat(masks).double()
    correlation = signs @ signs.T / signs.shape[1] - torch.eye(len(signs), dtype=torch.float64)
    assert correlation.abs().max() < 5 / np.sqrt(20_000)


def test_evaluation_and_no_dropout_are_the_identity():
    x = torch.randn(3, 4)
    assert Dropout(0.0)(x) is x
    assert Dropout(0.5).eval()(x) is x


def test_without_a_stream_it_is_dropout_of_pytorch():
    layer = Dropout(0.4)
    set_dropout_stream(layer, 3)
    set_dropout_stream(layer, None)
    torch.manual_seed(0)
    own = layer(torch.ones(50))
    torch.manual_seed(0)
    assert torch.equal(own, nn.Dropout(0.4)(torch.ones(50)))


def test_gradient_passes_through_the_mask():
    layer = Dropout(0.5)
    set_dropout_stream(layer, 0)
    x = torch.ones(10, 10, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="dropout probability is 1"):
        Dropout(1.0)
    layer = Dropout(0.5)
    set_dropout_stream(layer, 0, offset=3, total=4)
    with pytest.raises(ValueError, match="rows 3 to 5 of a minibatch of 4"):
        layer(torch.ones(2, 1))
