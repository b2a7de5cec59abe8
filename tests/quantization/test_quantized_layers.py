"""Quantized layers against plain float64 sums over codes, and whole networks in training and evaluation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ib_analysis.artifacts import UserError
from ib_analysis.encoders import EncoderConfig, ResNetAutoencoder, ResNetClassifier
from ib_analysis.quantization import quantize, quantized_layers
from ib_analysis.quantization.formats import LayerFormat
from ib_analysis.quantization.layers import Granularity, QuantizedConv2d, QuantizedLinear, Setting

GRANULARITIES: tuple[Granularity, ...] = ("channel", "channel_folded", "tensor")
EPS = 2.0**-23


def naive_dense(layer: QuantizedLinear, x: np.ndarray) -> np.ndarray:
    """The layer's output from its equations, in float64."""
    bits_w, bits_a = layer.setting.layer.weight_bits, layer.setting.layer.activation_bits
    weight = layer.weight.detach().double().numpy()
    bound = layer.inputs.bounds.bound.double().numpy() + EPS
    signed = layer.setting.signed
    scale = (2 ** (bits_a - 1) - 1 if signed else 2**bits_a) / bound
    low, high = (-(2 ** (bits_a - 1) - 1), 2 ** (bits_a - 1) - 1) if signed else (0, 2**bits_a - 1)
    codes = np.clip(np.floor(x * scale + (0.5 if signed else 0.0)), low, high)
    limit = 2 ** (bits_w - 1) - 1
    if layer.setting.granularity == "channel_folded":
        folded = weight / scale
        weight_scale = limit / (np.abs(folded).max(1, keepdims=True) + EPS)
        quantized, inputs = np.floor(folded * weight_scale + 0.5).clip(-limit, limit) / weight_scale, codes
    else:
        weight_scale = limit / (np.abs(weight).max(1, keepdims=True) + EPS)
        quantized, inputs = np.floor(weight * weight_scale + 0.5).clip(-limit, limit) / weight_scale, codes / scale
    return inputs @ quantized.T + layer.bias.detach().double().numpy()  # type: ignore[union-attr]


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [(2, 2), (4, 4), (8, 8), (4, 8)])
def test_a_dense_layer_is_what_its_equations_say(granularity: Granularity, signed: bool, bits: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = QuantizedLinear(nn.Linear(6, 5), Setting(LayerFormat(*bits), signed, granularity, start=3))
    x = torch.randn(40, 6) * torch.tensor([0.1, 1, 2, 5, 0.5, 1]) if signed else torch.rand(40, 6) * 3
    layer.train()
    for part in x.split(10):
        layer(part)
    layer.eval()
    np.testing.assert_allclose(layer(x).detach().numpy(), naive_dense(layer, x.double().numpy()), rtol=1e-4, atol=1e-5)


def test_inputs_are_not_quantized_before_the_start_step_but_weights_are() -> None:
    torch.manual_seed(0)
    original = nn.Linear(3, 2)
    layer = QuantizedLinear(original, Setting(LayerFormat(4, 4), False, "channel", start=2))
    x = torch.rand(20, 3)
    limit = original.weight.detach().abs().amax(1, keepdim=True)
    weight = (original.weight * (7 / (limit + EPS)) + 0.5).floor() * ((limit + EPS) / 7)
    expected = x @ weight.T + original.bias
    for _ in range(2):
        torch.testing.assert_close(layer.train()(x), expected)
        torch.testing.assert_close(layer.eval()(x), expected)
    assert not torch.allclose(layer.train()(x), expected), "the third training step sets the bounds and uses them"


@pytest.mark.parametrize("granularity", ["channel_folded", "tensor"])
def test_sums_of_codes_are_exact_whole_numbers(granularity: Granularity) -> None:
    """576 products of 8-bit codes exceed what float32 can hold."""
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 2, 3, padding=1, bias=False)
    nn.init.constant_(conv.weight, 1.0)
    layer = QuantizedConv2d(conv, Setting(LayerFormat(8, 8), False, granularity, start=0)).train()
    x = torch.rand(2, 64, 8, 8)
    x[:, :, 0, 0] = 1.0
    layer(x * 0.1)
    layer.eval()
    codes, weight = layer.inputs.codes(x).long(), layer.weight_codes().long()
    assert set(weight.unique().tolist()) <= set(range(-127, 128))
    exact = nn.functional.conv2d(codes.double(), weight.double(), padding=1)
    assert exact.max() > 2**24
    assert torch.equal(layer._sum_of_products(codes.float()), exact.float())


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_gradients_reach_weights_and_inputs(granularity: Granularity) -> None:
    torch.manual_seed(0)
    layer = QuantizedConv2d(nn.Conv2d(3, 4, 3), Setting(LayerFormat(8, 8), False, granularity, start=0)).train()
    plain = nn.Conv2d(3, 4, 3)
    plain.load_state_dict({"weight": layer.weight, "bias": layer.bias})  # type: ignore[dict-item]
    x = torch.rand(8, 3, 6, 6)
    layer(x * 10)  # wide bounds, so that nothing is clipped
    found = []
    for module in (layer, plain):
        copy = x.clone().requires_grad_()
        module.zero_grad()
        module(copy).square().sum().backward()
        assert copy.grad is not None
        assert module.weight.grad is not None
        found.append((copy.grad, module.weight.grad))
    for quantized, real in zip(*found, strict=True):
        assert torch.nn.functional.cosine_similarity(quantized.flatten(), real.flatten(), dim=0) > 0.98


@pytest.mark.parametrize("kind", [ResNetClassifier, ResNetAutoencoder])
def test_only_the_images_can_be_negative(kind: type) -> None:
    config = EncoderConfig(depth=8, width=4, shortcut="B")
    arguments = (10,) if kind is ResNetClassifier else ()
    network = quantize(kind(config, (3, 8, 8), 256, *arguments, seed=0), "w4a4", (3, 8, 8), start=2)
    layers = quantized_layers(network)
    assert {path for path, layer in layers.items() if layer.setting.signed} == {"trunk.stem.0"}
    assert len(layers) == sum(isinstance(module, nn.Conv2d | nn.Linear) for module in network.modules())


def test_quantizing_keeps_parameters_and_a_float_format_changes_nothing() -> None:
    def build() -> ResNetClassifier:
        return ResNetClassifier(EncoderConfig(depth=8, width=4), (1, 8, 8), 16, 10, seed=0)

    images = torch.randint(16, (5, 1, 8, 8), dtype=torch.uint8)
    plain, same = build().eval(), quantize(build(), "float32", (1, 8, 8), start=2).eval()
    assert torch.equal(plain(images), same(images))
    assert not quantized_layers(same)
    original = build()
    before = dict(original.named_parameters())
    quantized = quantize(original, "w8a8", (1, 8, 8), start=2)
    assert {name: id(value) for name, value in quantized.named_parameters()} == {
        name: id(value) for name, value in before.items()
    }


def test_evaluation_never_moves_the_bounds_and_checkpoints_carry_them() -> None:
    network = quantize(
        ResNetClassifier(EncoderConfig(depth=8, width=4), (1, 8, 8), 16, 10, seed=0), "w4a4_ends8", (1, 8, 8), start=3
    )
    images = torch.randint(16, (20, 1, 8, 8), dtype=torch.uint8)
    for _ in range(5):
        network.train()(images)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    expected = network.eval()(images)
    network(images.flip(0))
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    other = quantize(
        ResNetClassifier(EncoderConfig(depth=8, width=4), (1, 8, 8), 16, 10, seed=1), "w4a4_ends8", (1, 8, 8), start=3
    )
    other.load_state_dict(state)
    assert torch.equal(other.eval()(images), expected)


def test_a_grouped_convolution_cannot_be_folded() -> None:
    network = nn.Sequential()
    network.add_module("conv", nn.Conv2d(4, 4, 3, groups=2))
    network.forward = lambda images: network.conv(images.float())  # type: ignore[method-assign, operator]
    with pytest.raises(UserError, match="conv is a grouped convolution"):
        quantize(network, "w4a4", (4, 8, 8), start=2, granularity="channel_folded")
