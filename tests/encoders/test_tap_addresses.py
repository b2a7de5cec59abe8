"""Parts of outputs by key, and tokens that belong to a grid: against what the network itself gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from ib_analysis.artifacts import UserError
from ib_analysis.encoders import NamedTaps


def scaled(images: Tensor) -> Tensor:
    return images.float() / 255


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@dataclass
class Found:
    logits: Tensor
    features: Tensor


class Pair(NamedTuple):
    mean: Tensor
    spread: Tensor


class Spread(nn.Module):
    def forward(self, x: Tensor) -> Pair:
        return Pair(x.mean(1, keepdim=True), x - x.mean(1, keepdim=True))


class Table(nn.Module):
    def forward(self, x: Tensor) -> dict[str, dict[str, Tensor]]:
        return {"features": {"double": 2 * x}}


class Outputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(64, 5)
        self.spread, self.table = Spread(), Table()

    def forward(self, x: Tensor) -> Found:
        features = self.body(x.flatten(1))
        self.spread(features)
        return Found(self.table(features)["features"]["double"], features)


def test_parts_go_by_key_field_or_index(images: Tensor) -> None:
    net = Outputs().eval()
    paths = {
        "mean": "spread.mean", "spread": "spread[1]", "double": "table.features.double",
        "bracketed": "table[features].double", "logits": ".logits", "features": "[features]", "first": "spread#1.mean",
    }  # fmt: skip
    found = NamedTaps(net, paths, scaled).taps(images)
    body = net.body(scaled(images).flatten(1))
    mean = body.mean(1, keepdim=True)
    wanted = {"mean": mean, "spread": body - mean, "double": 2 * body, "bracketed": 2 * body, "logits": 2 * body}
    wanted |= {"features": body, "first": mean}
    for name, values in wanted.items():
        torch.testing.assert_close(found[name], values, msg=name)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (
            "spread.men",
            r"part \[men\] of no tensor but a Pair of \[mean\].*no module of this name; .*spread",
        ),
        ("table[feature]", r"asks for the part \[feature\] of no tensor but a dict"),
        ("bodi.logits", "no module 'bodi.logits' to tap; the nearest names are body"),
        ("body@class", "no tokens with a grid of patches"),
    ],
)
def test_a_wrong_key_is_told_with_what_there_is(path: str, told: str, images: Tensor) -> None:
    with pytest.raises(UserError, match=told):
        NamedTaps(Outputs().eval(), {"h": path}, scaled, {"h": "BC"} if "@" not in path else None).taps(images)


@pytest.fixture(scope="module")
def transformer() -> VisionTransformer:
    """Four patches of 4 pixels, a class token before them."""
    torch.manual_seed(0)
    return VisionTransformer(
        image_size=8, patch_size=4, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=8, num_classes=3
    ).eval()


def coloured(images: Tensor) -> Tensor:
    return scaled(images).expand(-1, 3, -1, -1)


def test_a_transformers_patches_are_a_map_and_its_class_token_a_vector(transformer, images: Tensor) -> None:
    paths = {"all": "encoder.layers", "patches": "encoder.ln@patches", "class": "encoder.ln@class"}
    found = NamedTaps(transformer, paths, coloured).taps(images)
    seen = {}
    handle = transformer.encoder.ln.register_forward_hook(lambda *given: seen.update(tokens=given[2]))
    transformer(coloured(images))
    handle.remove()
    tokens = seen["tokens"]
    assert tokens.shape == (3, 5, 8)
    torch.testing.assert_close(found["class"], tokens[:, 0])
    for row in range(2):
        for column in range(2):
            torch.testing.assert_close(found["patches"][:, :, row, column], tokens[:, 1 + 2 * row + column])
    assert found["all"].shape == (3, 16, 2, 2)  # the class token beside every patch


class Patches(nn.Module):
    """Tokens of 2x2 pixels, made without a convolution."""

    def __init__(self, attends: bool) -> None:
        super().__init__()
        self.embed = nn.Linear(4, 6)
        self.mix = nn.MultiheadAttention(6, 2, batch_first=True) if attends else nn.LSTM(6, 6, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x.unfold(2, 2, 2).unfold(3, 2, 2).flatten(1, 3).flatten(2))
        return (
            self.mix(tokens, tokens, tokens)[0] if isinstance(self.mix, nn.MultiheadAttention) else self.mix(tokens)[0]
        )


def test_a_square_of_tokens_is_a_map_only_where_there_is_attention_or_it_is_said(images: Tensor) -> None:
    def shape(attends: bool, said: str | None) -> tuple[int, ...]:
        axes = None if said is None else {"h": said}
        return tuple(NamedTaps(Patches(attends).eval(), {"h": "mix[0]"}, scaled, axes).taps(images)["h"].shape)

    assert shape(True, "BNC") == (3, 6, 4, 4)
    assert shape(False, "BNC") == (3, 6, 16, 1)  # steps of time
    assert shape(False, "BNC 2x8") == (3, 6, 2, 8)
    assert shape(True, "bnc 16x1") == (3, 6, 16, 1)
    assert shape(False, "BNC 3x5") == (3, 12, 3, 5)  # one token before them
    with pytest.raises(UserError, match="grid of 5x5 patches, but it gives"):
        shape(False, "BNC 5x5")
    with pytest.raises(UserError, match="of tokens also their grid"):
        shape(False, "BCHW 5x5")
