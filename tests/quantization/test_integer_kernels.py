"""Compiled integer kernels against the exact arithmetic of quantized layers."""

from __future__ import annotations

import pytest
import torch

from ib_analysis.artifacts import UserError
from ib_analysis.encoders import EncoderConfig, build_encoder
from ib_analysis.quantization import quantize, quantized_layers
from ib_analysis.quantization.integer_kernels import KernelLayer, has_integer_kernels, on_integer_kernels

SHAPE = (1, 8, 8)


def quantized(name: str, granularity: str, overrides: dict[str, str] | None = None, block: str = "resnet"):
    config = EncoderConfig(block if block == "rir" else "resnet", depth=8, width=4, shortcut="B")
    network = build_encoder(config, "classification", SHAPE, 256, 10, 0)
    quantize(network, name, SHAPE, start=0, granularity=granularity, overrides=overrides)
    return network


def with_bounds(network: torch.nn.Module) -> torch.nn.Module:
    network.train()(images(16))
    return network.eval()


def images(n: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(256, (n, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.skipif(not has_integer_kernels(), reason="torch has no 8-bit kernels here")
@pytest.mark.parametrize("granularity", ["tensor", "channel_folded"])
@pytest.mark.parametrize("block", ["resnet", "rir"])
def test_kernels_give_what_quantized_layers_give(granularity: str, block: str) -> None:
    for name in ("w8a8", "w4a4_ends8", "w2a8"):
        network = with_bounds(quantized(name, granularity, block=block))
        with torch.inference_mode():
            expected, count = network(images(5)), len(quantized_layers(network))
            fast = on_integer_kernels(network)
            assert sum(isinstance(part, KernelLayer) for part in fast.modules()) == count
            assert torch.allclose(fast(images(5)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(not has_integer_kernels(), reason="torch has no 8-bit kernels here")
def test_what_stays_real_runs_as_it_is() -> None:
    network = with_bounds(quantized("w8a8", "tensor", {"head": "float32"}))
    with torch.inference_mode():
        expected = network(images(5))
        fast = on_integer_kernels(network)
        assert (type(fast.head), type(fast.trunk.stem[0])) == (torch.nn.Linear, KernelLayer)
        assert torch.allclose(fast(images(5)), expected, rtol=1e-5, atol=1e-6)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="not set yet"):
        on_integer_kernels(quantized("w8a8", "tensor"))
    with pytest.raises(UserError, match="granularity is channel, whose scales"):
        on_integer_kernels(with_bounds(quantized("w8a8", "channel")))


@pytest.mark.skipif(not has_integer_kernels(), reason="torch has no 8-bit kernels here")
def test_weights_are_packed_for_the_shape_of_the_input_and_give_the_same_for_all() -> None:
    network = with_bounds(quantized("w8a8", "tensor"))
    with torch.inference_mode():
        expected = network(images(5))
        fast = on_integer_kernels(network)
        layer = next(part for part in fast.modules() if isinstance(part, KernelLayer))
        for part in (slice(0, 5), slice(0, 1), slice(2, 5)):
            assert torch.allclose(fast(images(5)[part]), expected[part], rtol=1e-5, atol=1e-6)
            assert layer._packed_for[0] == part.stop - part.start
            packed = layer._packed
            fast(images(5)[part])
            assert layer._packed is packed, "packed anew for a shape that it was packed for"
