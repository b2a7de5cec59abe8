"""Taps of quantized networks are the codes that the next layer computes with; what passes beside them is told."""

from __future__ import annotations

import pytest
import torch

from ib_analysis.encoders import EncoderConfig, ResNetAutoencoder, ResNetClassifier
from ib_analysis.encoders.interface import TappedNetwork
from ib_analysis.quantization import CodedTaps, code_taps, quantize, quantized_layers

SHAPE = (1, 8, 8)


def network(
    shortcut: str, kind: str = "classification", bottleneck: str = "h3", name: str = "w4a4_ends8"
) -> TappedNetwork:
    config = EncoderConfig(depth=8, width=4, shortcut=shortcut, bottleneck=bottleneck)  # type: ignore[arg-type]
    found: TappedNetwork = (
        ResNetClassifier(config, SHAPE, 16, 10, seed=0)
        if kind == "classification"
        else ResNetAutoencoder(config, SHAPE, 16, seed=0)
    )
    quantize(found, name, SHAPE, start=2)
    return found


def images() -> torch.Tensor:
    return torch.randint(16, (12, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(("shortcut", "narrow"), [("A", False), ("B", True)])
def test_shortcuts_without_weights_carry_real_numbers_past_the_codes(shortcut: str, narrow: bool) -> None:
    found = code_taps(network(shortcut), SHAPE)
    assert {tap: code.is_bottleneck for tap, code in found.items()} == {"h1": narrow, "h2": narrow, "h4": True}
    assert {tap: code.bits for tap, code in found.items()} == {"h1": 4, "h2": 4, "h4": 8}
    assert not any(code.signed for code in found.values())


def test_the_pooled_features_of_an_autoencoder_are_codes_only_where_they_are_used() -> None:
    assert "h4" not in code_taps(network("B", "autoencoding"), SHAPE)
    assert code_taps(network("B", "autoencoding", "h4"), SHAPE)["h4"].is_bottleneck


def test_a_layer_of_another_width_makes_the_code_no_bottleneck() -> None:
    config = EncoderConfig(depth=8, width=4, shortcut="B")
    resnet = ResNetClassifier(config, SHAPE, 16, 10, seed=0)
    quantize(resnet, "w4a4", SHAPE, start=2, overrides={"trunk.stages.1.0.shortcut.0": "w8a8"})
    found = code_taps(resnet, SHAPE)
    assert not found["h1"].is_bottleneck
    assert found["h2"].is_bottleneck


def test_taps_are_real_before_the_bounds_are_set_and_codes_afterwards() -> None:
    resnet = network("B")
    before = CodedTaps(resnet, SHAPE).eval()
    assert not before.code_bits
    assert all(torch.equal(x, before.taps(images())[tap]) for tap, x in resnet.eval().taps(images()).items())
    for _ in range(3):
        resnet.train()(images())
    coded = CodedTaps(resnet, SHAPE).eval()
    assert coded.code_bits == {"h1": (4, False), "h2": (4, False), "h4": (8, False)}
    taps, real = coded.taps(images()), resnet.taps(images())
    assert torch.equal(taps["h3"], real["h3"])
    for tap, (bits, _) in coded.code_bits.items():
        assert torch.equal(taps[tap], taps[tap].floor())
        assert taps[tap].min() >= 0
        assert 0 < taps[tap].max() <= 2**bits - 1
    assert torch.equal(coded(images()), resnet(images()))


def test_the_codes_are_what_the_next_layer_sees() -> None:
    """Given a bottleneck, numbers that have the same codes give the same output."""
    resnet = network("B")
    for _ in range(3):
        resnet.train()(images())
    coded = CodedTaps(resnet.eval(), SHAPE).eval()
    expected, stage = resnet(images()), resnet.trunk.stages[0]  # type: ignore[union-attr, index]
    scale = coded.scales("h1").view(1, -1, 1, 1)

    def move_within_bins(_module: object, _inputs: object, x: torch.Tensor) -> torch.Tensor:
        codes = quantized_layers(resnet)[code_taps_before["h1"].reader].inputs.codes(x)
        return (codes + 0.4) / scale  # elsewhere in the same bins

    code_taps_before = code_taps(resnet, SHAPE)
    handle = stage.register_forward_hook(move_within_bins)
    assert torch.equal(resnet(images()), expected)
    handle.remove()
