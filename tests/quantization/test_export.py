"""Exported integers reproduce the fake-quantized forward pass bit for bit; what cannot be exported is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from ib_analysis.artifacts import UserError
from ib_analysis.encoders import EncoderConfig, ResNetAutoencoder, ResNetClassifier, layer_works
from ib_analysis.encoders.interface import TappedNetwork
from ib_analysis.quantization import format_cost, number_format, plan, quantize, quantized_layers
from ib_analysis.quantization.export import code_bytes, load_integers, save_integers
from ib_analysis.quantization.integer_layers import IntegerLayer, LayerIntegers
from ib_analysis.quantization.layers import Granularity

SHAPE = (3, 8, 8)


def build(kind: str, name: str, granularity: Granularity = "tensor", seed: int = 0) -> TappedNetwork:
    config = EncoderConfig(depth=8, width=4, shortcut="B")
    network: TappedNetwork = (
        ResNetClassifier(config, SHAPE, 256, 10, seed)
        if kind == "classification"
        else ResNetAutoencoder(config, SHAPE, 256, seed)
    )
    quantize(network, name, SHAPE, start=3, granularity=granularity)
    return network


def images(count: int = 24) -> torch.Tensor:
    return torch.randint(256, (count, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def trained(kind: str, name: str, granularity: Granularity = "tensor") -> TappedNetwork:
    network = build(kind, name, granularity)
    network.fit_preprocessing(images())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    for _ in range(6):
        optimizer.zero_grad()
        network.train()(images()).square().mean().backward()
        optimizer.step()
    return network.eval()


@pytest.mark.parametrize("kind", ["classification", "autoencoding"])
@pytest.mark.parametrize("name", ["w8a8", "w4a4_ends8", "w2a2", "w3a5"])
@pytest.mark.parametrize("granularity", ["tensor", "channel_folded"])
def test_integer_arithmetic_gives_the_same_bits(kind: str, name: str, granularity: Granularity, tmp_path: Path) -> None:
    network = trained(kind, name, granularity)
    save_integers(network, tmp_path / "network.h5", {"number_format": name})
    integer = load_integers(tmp_path / "network.h5", build(kind, name, granularity, seed=9), name)
    assert not quantized_layers(integer)
    assert sum(isinstance(module, IntegerLayer) for module in integer.modules()) == len(quantized_layers(network))
    assert torch.equal(integer(images()), network(images()))
    for layer, activations in network.taps(images()).items():
        assert torch.equal(integer.taps(images())[layer], activations)  # type: ignore[operator]


def test_sums_are_made_of_bytes_and_int32(tmp_path: Path) -> None:
    network = trained("classification", "w4a4_ends8")
    save_integers(network, tmp_path / "network.h5", {"number_format": "w4a4_ends8"})
    integer = load_integers(tmp_path / "network.h5", build("classification", "w4a4_ends8"), "w4a4_ends8")
    kinds = {}
    for name, module in integer.named_modules():
        if isinstance(module, IntegerLayer):
            x = torch.rand(2, module.integers.weight.shape[1], *[6] * (module.integers.weight.ndim - 2))
            codes = module.codes(x)
            kinds[name] = codes.dtype
            assert module.integers.weight.dtype == torch.int8
            assert module.sums(codes).dtype == torch.int32
    assert kinds.pop("trunk.stem.0") == torch.int8
    assert set(kinds.values()) == {torch.uint8}


@pytest.mark.parametrize("name", ["w8a8", "w4a4_ends8", "w2a2", "w3a3"])
def test_codes_on_disk_take_what_the_memory_model_says(name: str, tmp_path: Path) -> None:
    network = trained("classification", name)
    works = layer_works(network, SHAPE)
    cost = format_cost(works, plan(number_format(name), [work.name for work in works]))
    save_integers(network, tmp_path / "network.h5", {"number_format": name})
    # Each layer starts on a byte of its own.
    assert 0 <= 8 * code_bytes(tmp_path / "network.h5") - cost.memory_bits < 8 * len(works)


@pytest.mark.parametrize("settings", [{"stride": (2, 1), "padding": (2, 0)}, {"dilation": (1, 2)}, {"groups": 2}])
def test_integer_convolutions_agree_with_torchs(settings: dict) -> None:
    generator = torch.Generator().manual_seed(0)
    conv = nn.Conv2d(4, 6, (3, 2), bias=False, **settings)
    weight = torch.randint(-7, 8, conv.weight.shape, generator=generator)
    x = torch.randint(0, 16, (2, 4, 9, 9), generator=generator)
    layer = IntegerLayer(
        LayerIntegers(
            weight.to(torch.int8), torch.ones(4), torch.ones(6), None, 4, 4, False,
            conv.stride, conv.padding, conv.dilation, conv.groups,  # type: ignore[arg-type]
        )
    )  # fmt: skip
    with torch.no_grad():
        conv.weight.copy_(weight)
        assert torch.equal(layer.sums(x.to(torch.uint8)).double(), conv.double()(x.double()))


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.h5"
    with pytest.raises(UserError, match="not set yet"):
        save_integers(build("classification", "w4a4"), path, {"number_format": "w4a4"})
    with pytest.raises(UserError, match="scale per channel"):
        save_integers(trained("classification", "w4a4", "channel"), path, {"number_format": "w4a4"})
    with pytest.raises(UserError, match="float32 has no integers"):
        save_integers(build("classification", "float32"), path, {"number_format": "float32"})
    assert not path.exists()


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.h5"
    save_integers(trained("classification", "w4a4"), path, {"number_format": "w4a4"})
    with pytest.raises(UserError, match="has the number format w4a4, not w8a8"):
        load_integers(path, build("classification", "w8a8"), "w8a8")
    with pytest.raises(UserError, match="is of another network"):
        load_integers(path, build("autoencoding", "w4a4"), "w4a4")
    with pytest.raises(UserError, match="cannot be read"):
        load_integers(tmp_path / "none.h5", build("classification", "w4a4"), "w4a4")
