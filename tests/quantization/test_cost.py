"""Known answers of the cost models, and torch's FLOP counter."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import resnet50

from ib_analysis.encoders import EncoderConfig, ResNetAutoencoder, ResNetClassifier
from ib_analysis.encoders.cost import layer_works
from ib_analysis.quantization import FormatCost, format_cost, number_format, plan


class AsFloat(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images.float())


def cost(network: nn.Module, image_shape: tuple[int, int, int], name: str) -> FormatCost:
    works = layer_works(network, image_shape)
    return format_cost(works, plan(number_format(name), [work.name for work in works]))


def test_resnet50_costs_what_aqt_publishes() -> None:
    network = AsFloat(resnet50(weights=None))
    costs = {name: cost(network, (3, 224, 224), name) for name in ("bfloat16", "w8a8", "w4a4", "w4a2")}
    assert costs["bfloat16"].macs == 4_089_184_256
    assert {name: found.quadratic for name, found in costs.items()} == {
        "bfloat16": 1046831169536,
        "w8a8": 261707792384,
        "w4a4": 65426948096,
        "w4a2": 32713474048,
    }
    memory = [costs[name].memory_bits for name in ("bfloat16", "w8a8", "w4a4")]
    assert memory == [408046592, 204023296, 102011648]
    assert costs["w4a2"].linear == costs["w4a4"].linear == 4 * 4_089_184_256


@pytest.mark.parametrize(
    ("depth", "macs", "share"), [(20, 40_551_040, 6.45), (32, 68_862_592, 6.37), (56, 125_485_696, 6.32)]
)
def test_cifar_resnets_cost_what_is_known(depth: int, macs: int, share: float) -> None:
    network = ResNetClassifier(EncoderConfig(depth=depth), (3, 32, 32), 256, 10, seed=0)
    mixed, float16 = cost(network, (3, 32, 32), "w4a4_ends8"), cost(network, (3, 32, 32), "bfloat16")
    assert float16.macs == macs
    assert round(100 * mixed.quadratic / float16.quadratic, 2) == share


@pytest.mark.parametrize("shortcut", ["A", "B"])
@pytest.mark.parametrize("bottleneck", ["h3", "h4"])
def test_macs_agree_with_torchs_flop_counter(shortcut: str, bottleneck: str) -> None:
    config = EncoderConfig(depth=8, width=4, shortcut=shortcut, bottleneck=bottleneck)  # type: ignore[arg-type]
    network = ResNetAutoencoder(config, (3, 16, 16), 256, seed=0).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 16, 16, dtype=torch.uint8))
    assert 2 * sum(work.macs for work in layer_works(network, (3, 16, 16))) == counter.get_total_flops()
