"""Layers on packed bits: chains that never leave them, what they store, what they refuse."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import sign_products
import torch
import torch.nn.functional as F
from sign_products import MEANS, signs
from torch import Tensor, nn

from ib_analysis.binary.packed_layers import PackedConv2d, PackedLinear
from ib_analysis.binary.packed_thresholds import Thresholds, batch_norm_thresholds
from ib_analysis.binary.packing import PackedSigns


@pytest.fixture(params=MEANS)
def means(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    sign_products.use(request.param, monkeypatch)
    return str(request.param)


def norm_of(channels: int, n: int, seed: int) -> nn.BatchNorm2d:
    """In float64, with slopes of both signs and means where products lie."""
    random = torch.Generator().manual_seed(seed)
    norm = nn.BatchNorm2d(channels).double().eval()
    with torch.no_grad():
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.weight.normal_(generator=random)
        norm.bias.normal_(generator=random)
        norm.running_mean.normal_(0, n**0.5, generator=random)
        norm.running_var.uniform_(n / 2, n, generator=random)
    return norm


def sign(x: Tensor) -> Tensor:
    return torch.where(x >= 0, 1.0, -1.0).double()


def test_a_chain_on_bits_alone_is_the_float64_network(means: str) -> None:
    x = signs(3, 96, 16, 16, seed=0)
    kernels = [signs(16, 96, 3, 3, seed=1), signs(70, 16, 3, 3, seed=2), signs(33, 70, 1, 1, seed=3)]
    strides, paddings, padding_signs = [1, 2, 1], [1, 1, 0], [1, -1, 1]
    classifier = signs(10, 33 * 8 * 8, seed=4)
    expected, layers = x.double(), list[nn.Module]()
    for kernel, stride, padding, padding_sign in zip(kernels, strides, paddings, padding_signs, strict=True):
        n = kernel[0].numel()
        norm = norm_of(len(kernel), n, seed=n)
        padded = F.pad(expected, (padding,) * 4, value=padding_sign)
        expected = sign(norm(F.conv2d(padded, kernel.double(), stride=stride)))
        layers.append(PackedConv2d(kernel, stride, padding, padding_sign, batch_norm_thresholds(norm, n)))
    expected = F.linear(expected.flatten(1), classifier.double())
    network = nn.Sequential(*layers, PackedLinear(classifier))
    seen: list[object] = []
    for layer in network:
        layer.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    found = network(x)
    assert found.dtype == torch.int32
    assert torch.equal(found.double(), expected)
    assert all(isinstance(one, PackedSigns) for one in seen[1:])
    assert torch.equal(network(PackedSigns.of(x)), found)


@pytest.mark.parametrize("shape", [(16, 16, 3, 3), (64, 64, 3, 3), (256, 256, 3, 3), (128, 96, 1, 1), (10, 576)])
def test_weights_take_a_32nd_of_the_bytes_of_float32(shape: tuple[int, ...], tmp_path: Path) -> None:
    weight = signs(*shape, seed=0)
    layer = PackedConv2d(weight) if len(shape) == 4 else PackedLinear(weight)
    assert layer.stored_bytes * 32 == weight.numel() * 4
    torch.save({"weight": weight}, tmp_path / "float.pt")
    torch.save(layer.state_dict(), tmp_path / "packed.pt")
    frame = 2000  # of torch's file, whatever it holds
    sizes = [(tmp_path / name).stat().st_size for name in ("float.pt", "packed.pt")]
    assert sizes[1] - frame < sizes[0] / 32


def test_what_is_padded_is_counted(means: str) -> None:
    # 7 outputs of 3x3x17 signs are 1071 bits: 17 words. Three pixels of 17 bits share a word: 7 times 3 words.
    layer = PackedConv2d(signs(7, 17, 3, 3, seed=0))
    assert layer.stored_bytes == layer.state_dict()["weight_bits"].nbytes == 17 * 8
    assert layer.running_bytes == 7 * 3 * 8
    # 5 outputs of 70 signs are 350 bits: 6 words. Each output has 2 words, and there are panels of 8 or 16 outputs.
    dense = PackedLinear(signs(5, 70, seed=0))
    assert dense.stored_bytes == dense.state_dict()["weight_bits"].nbytes == 6 * 8
    assert dense.running_bytes in ([5 * 2 * 8] if means == "numpy" else [8 * 2 * 8, 16 * 2 * 8])


def test_a_loaded_layer_is_the_saved_one(means: str, tmp_path: Path) -> None:
    def layer(seed: int) -> PackedConv2d:
        thresholds = batch_norm_thresholds(norm_of(7, 99, seed), 99)
        return PackedConv2d(signs(7, 11, 3, 3, seed=seed), padding=1, thresholds=thresholds)

    one, other, x = layer(0), layer(1), signs(2, 11, 6, 6, seed=2)
    expected = one(x)
    assert isinstance(expected, PackedSigns)
    assert not np.array_equal(other(x).words, expected.words)
    torch.save(one.state_dict(), tmp_path / "layer.pt")
    other.load_state_dict(torch.load(tmp_path / "layer.pt", weights_only=True))
    assert np.array_equal(other(x).words, expected.words)
    assert torch.equal(other.weight, one.weight)
    assert np.array_equal(copy.deepcopy(one)(x).words, expected.words)


def test_weights_come_back(means: str) -> None:
    for weight in (signs(3, 5, 3, 3, seed=0), signs(4, 130, seed=1)):
        layer = PackedConv2d(weight) if weight.ndim == 4 else PackedLinear(weight)
        assert torch.equal(layer.weight, weight)
        assert str(tuple(weight.shape[:2][::-1]))[1:-1] in repr(layer)


@pytest.mark.parametrize("value", [0.0, 0.5, -2.0, float("nan")])
def test_weights_that_are_no_signs_are_refused(value: float) -> None:
    weight = signs(2, 3, 3, 3, seed=0)
    weight[1, 2, 0, 0] = value
    with pytest.raises(ValueError, match=r"packed weights are -1 or \+1"):
        PackedConv2d(weight)
    with pytest.raises(ValueError, match=r"packed weights are -1 or \+1"):
        PackedLinear(weight.flatten(1))


def test_layers_that_cannot_be_are_refused() -> None:
    thresholds = Thresholds(np.zeros(3, dtype=np.int32), np.zeros(3, dtype=bool))
    with pytest.raises(ValueError, match="2 output channels need as many thresholds, not 3"):
        PackedConv2d(signs(2, 3, 3, 3, seed=0), thresholds=thresholds)
    with pytest.raises(ValueError, match="4 axes, not 2"):
        PackedConv2d(signs(2, 3, seed=0))
    with pytest.raises(ValueError, match="2 axes, not 4"):
        PackedLinear(signs(2, 3, 3, 3, seed=0))
    with pytest.raises(ValueError, match="padded with"):
        PackedConv2d(signs(2, 3, 3, 3, seed=0), padding=1, padding_sign=0)
