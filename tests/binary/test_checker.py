"""The checker passes a network of signs, counts as torch counts, and refuses every planted product of real numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ib_analysis.artifacts import UserError
from ib_analysis.binary import (
    BinaryBlock,
    BinaryConv2d,
    BinaryLinear,
    Code,
    InputCode,
    Phase,
    check_products,
    inspect_products,
    set_phase,
)

SHAPE = (1, 6, 6)


class Planted(nn.Module):
    """A small binary classifier with one part that can be replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.input = InputCode("thermometer", 1, 256, 8)
        self.stem = BinaryBlock(BinaryConv2d(8, 4), activation=True)
        self.block = BinaryBlock(BinaryConv2d(4, 4), Code(4), nn.Identity(), activation=True)
        self.code = Code(4)
        self.head = BinaryBlock(BinaryLinear(4 * 36, 3), activation=False)
        set_phase(self, Phase.BINARY)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.code(self.block(self.stem(self.input(images)))).flatten(1))


def test_a_network_of_signs_passes_and_is_left_as_it_was() -> None:
    network = Planted().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    report = check_products(network, SHAPE)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert [product.layer for product in report.products] == ["stem.product", "block.product", "head.product"]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.zeros(1, *SHAPE, dtype=torch.uint8))
    assert 2 * report.macs == counter.get_total_flops()


def test_what_remains_real_is_counted() -> None:
    report = inspect_products(Planted(), SHAPE)
    inner = 4 * 36  # numbers of a map
    assert report.real["native_batch_norm"] == 2 * inner + 3
    assert report.real["prelu_kernel"] == 2 * inner
    # scales of the products; the additions: 2 shifts of each PReLU, 2 of codes, 1 shortcut
    assert report.real["mul"] == 2 * inner + 3
    assert report.real["add"] == 7 * inner
    total = sum(report.real.values())
    assert report.real_share == pytest.approx(total / (total + report.macs))
    assert f"{total:,} results an image" in report.text()


class RealFirstLayer(Planted):
    def __init__(self) -> None:
        super().__init__()
        self.input = nn.Conv2d(1, 8, 3, padding=1)  # type: ignore[assignment]

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.float() / 255)


class ZeroPadding(Planted):
    def __init__(self) -> None:
        super().__init__()

        def padded(x: Tensor) -> Tensor:
            return F.conv2d(x, self.block.product.operand(), padding=1)

        self.block.product.forward = padded  # type: ignore[method-assign]


class ZerosBeforehand(Planted):
    """The same, padded by a call of its own: the operand has a third value."""

    def __init__(self) -> None:
        super().__init__()
        self.block.product.padding_sign = 0


class ScaledWeights(Planted):
    def __init__(self) -> None:
        super().__init__()
        product = self.block.product
        product.operand = lambda: torch.where(product.weight >= 0, 0.3, -0.3)  # type: ignore[method-assign]


class ScaledInputs(Planted):
    def __init__(self) -> None:
        super().__init__()
        code = self.block.code
        self.block.code = nn.Sequential(code, nn.Hardtanh(-0.5, 0.5))


class RealShortcut(Planted):
    def __init__(self) -> None:
        super().__init__()
        self.block.shortcut = nn.Conv2d(4, 4, 1, bias=False)


class RealClassifier(Planted):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4 * 36, 3)  # type: ignore[assignment]


class BySums(Planted):
    """A dense product written out: elements times elements, then their sum."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Identity()  # type: ignore[assignment]
        self.matrix = nn.Parameter(torch.randn(3, 4 * 36))

    def forward(self, images: Tensor) -> Tensor:
        return (super().forward(images)[:, None] * self.matrix).sum(2)


class BySumsOfOneOutput(BySums):
    def forward(self, images: Tensor) -> Tensor:
        return (Planted.forward(self, images) * self.matrix[0]).mean(1, keepdim=True)


class ByElements(Planted):
    """A classifier of real numbers in the place of one of signs: elements, reshaped before their sum."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Identity()  # type: ignore[assignment]
        self.matrix = nn.Parameter(torch.randn(3, 4 * 36))

    def forward(self, images: Tensor) -> Tensor:
        signs = super().forward(images)
        return torch.cat([(signs * row).unsqueeze(1).flatten(1).sum(1, keepdim=True) for row in self.matrix], 1)


class Unknown(Planted):
    def forward(self, images: Tensor) -> Tensor:
        return torch.linalg.solve(torch.eye(3).expand(len(images), 3, 3), super().forward(images))


@pytest.mark.parametrize(
    ("network", "layer", "words"),
    [
        (RealFirstLayer, "input", "multiplies real numbers"),
        (ZeroPadding, "block.product", "pads with zeros"),
        (ZerosBeforehand, "block.product", "its input has values like 0"),
        (ScaledWeights, "block.product", "its weight has values like"),
        (ScaledInputs, "block.product", "its input has values like"),
        (RealShortcut, "block.shortcut", "multiplies real numbers"),
        (RealClassifier, "head", "its weight has values like"),
        (BySums, "(the network itself)", "(mul)"),
        (BySumsOfOneOutput, "(the network itself)", "multiplies real numbers"),
        (ByElements, "(the network itself)", "(sum): its weight has values like"),
        (Unknown, "(the network itself)", "may hide a product"),
    ],
)
def test_a_planted_real_product_is_refused_in_one_sentence(network: type[Planted], layer: str, words: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(UserError) as refused:
        check_products(network(), SHAPE)
    sentence = str(refused.value)
    assert sentence.startswith(f"The network is not binary: its layer {layer} ")
    assert words in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


@pytest.mark.parametrize("phase", [Phase.REAL, Phase.SIGNS])
def test_other_phases_are_refused(phase: Phase) -> None:
    with pytest.raises(UserError, match=r"its layer stem\.product multiplies real numbers"):
        check_products(set_phase(Planted(), phase), SHAPE)


A, B = torch.randn(4, 5), torch.randn(5, 3)
CALLS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: F.linear(x, B.T),
    "linear with bias": lambda x: F.linear(x, B.T, torch.ones(3)),
    "matmul": lambda x: x @ B,
    "matmul of a stack": lambda x: x.expand(2, 4, 5) @ B,
    "vector": lambda x: x @ B[:, 0],
    "dot": lambda x: torch.dot(x[0], B[:, 0]),
    "inner": lambda x: torch.inner(x, B.T),
    "outer": lambda x: torch.outer(x[0], B[0]),
    "bmm": lambda x: torch.bmm(x[None], B[None]),
    "addmm": lambda x: torch.addmm(torch.zeros(3), x, B),
    "baddbmm": lambda x: torch.baddbmm(torch.zeros(1, 4, 3), x[None], B[None]),
    "einsum": lambda x: torch.einsum("bi,ij->bj", x, B),
    "einsum to one number": lambda x: torch.einsum("bi,ij->", x, B),
    "tensordot": lambda x: torch.tensordot(x, B, 1),
    "kron": lambda x: torch.kron(x, B),
    "bilinear": lambda x: F.bilinear(x, x, torch.randn(2, 5, 5)),
    "conv1d": lambda x: F.conv1d(x[None], A[:, :4, None]),
    "conv2d": lambda x: F.conv2d(x[None, None], B[None, None, :2]),
    "conv3d": lambda x: F.conv3d(x[None, None, None], B[None, None, None, :2]),
    "transposed": lambda x: F.conv_transpose2d(x[None, None], B[None, None]),
    "attention": lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None]),
    "multi_dot": lambda x: torch.linalg.multi_dot([x, B, B.T]),
    "distances": lambda x: torch.cdist(x, B.T, compute_mode="use_mm_for_euclid_dist"),
    "LSTM": lambda x: torch.ops.aten.lstm.input(
        x[None], [torch.zeros(1, 4, 2)] * 2, [torch.randn(8, 5), torch.randn(8, 2)], False, 1, 0.0, False, False, True
    )[0],
    "spectrum": lambda x: torch.fft.fft(x).real,
}


@pytest.mark.parametrize("name", CALLS)
def test_no_way_of_multiplying_matrices_escapes(name: str) -> None:
    class Calls(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return CALLS[name](images.float().flatten(1)[:4, :5])

    report = inspect_products(Calls(), SHAPE)
    assert report.faults, report


W = torch.randn(1, 1, 6, 6)
ELEMENTWISE: dict[str, Callable[[Tensor], Tensor]] = {
    "flatten": lambda x: (x * W).flatten(1).sum(1),
    "rows of a matrix": lambda x: torch.stack([(x * row).flatten(1).sum(1) for row in (W, 2 * W)], 1),
    "reshape": lambda x: (x * W).reshape(len(x), -1).mean(1),
    "transpose": lambda x: (x * W).transpose(2, 3).sum((1, 2, 3)),
    "shifted": lambda x: ((x * W) + 0.0).flatten(1).sum(1),
    "in place": lambda x: x.clone().mul_(W).add_(1.0).sum((1, 2, 3)),
    "scaled once more": lambda x: ((x * W) * torch.ones(1, 1, 1, 1)).sum((1, 2, 3)),
    "signs first": lambda x: (torch.where(x > 0.5, 1.0, -1.0) * torch.where(W > 0, 1.0, -1.0) * W).sum((1, 2, 3)),
    "whole numbers": lambda x: ((x * 255).long() * (9 * W).long()).to(torch.int32).sum((1, 2, 3)).float(),
    "other type": lambda x: (x * W).double().sum((1, 2, 3)),
    "in parts": lambda x: torch.cat((x * W).split(3, 3), 2).sum(3).sum(2),
    "cumsum": lambda x: (x * W).flatten(1).cumsum(1)[:, -1],
    "pooling": lambda x: F.adaptive_avg_pool2d(x * W, 1),
    "windows": lambda x: F.avg_pool2d(x * W, 2),
    "strided": lambda x: (x * W).as_strided((len(x), 36), (36, 1)).sum(1),
    "quotient": lambda x: (x / (1 / W)).sum((1, 2, 3)),
    "interpolation": lambda x: torch.lerp(torch.zeros_like(x), x, W.expand_as(x)).sum((1, 2, 3)),
    "addcmul": lambda x: torch.addcmul(torch.zeros_like(x), x, W).flatten(1).sum(1),
    "addcdiv": lambda x: torch.addcdiv(torch.zeros_like(x), x, 1 / W).sum((1, 2, 3)),
    "batch normalisation": lambda x: F.batch_norm(x.flatten(1), torch.zeros(36), torch.ones(36), W.flatten()).sum(1),
    "its variances": lambda x: F.batch_norm(x.flatten(1), torch.zeros(36), W.flatten() ** 2 + 1).sum(1),
    "layer normalisation": lambda x: F.layer_norm(x.flatten(1), (36,), W.flatten()).sum(1),
    "PReLU": lambda x: F.prelu(x.flatten(1) - 2, W.flatten()).sum(1),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_no_product_of_elements_escapes_on_its_way_to_the_sum(name: str) -> None:
    class Calls(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return ELEMENTWISE[name](images.float() / 255)

    report = inspect_products(Calls(), SHAPE)
    assert report.faults
    assert "multiplies real numbers" in report.faults[0].fault


SCALE = torch.randn(1, 3, 1, 1)
NO_PRODUCTS: dict[str, Callable[[Tensor], Tensor]] = {
    "positions": lambda x: (x * SCALE + 1).relu().flatten(2).mean(2),
    "moved": lambda x: (x * SCALE).permute(0, 2, 3, 1).reshape(len(x), 36, 3).sum(1),
    "windows": lambda x: torch.cat([F.avg_pool2d(x * SCALE, 2)] * 2, 1).mean((2, 3)),
    "normalised": lambda x: F.batch_norm(x, torch.zeros(3), SCALE.flatten() ** 2 + 1).mean((2, 3)),
    "largest": lambda x: (x * SCALE).amax((2, 3)),
    "signs": lambda x: torch.where(x * SCALE >= 0, 1.0, -1.0).sum(1),
    "of weights": lambda x: x * (SCALE * SCALE).sum(),
}


@pytest.mark.parametrize("name", NO_PRODUCTS)
def test_sums_of_equally_scaled_elements_are_no_products(name: str) -> None:
    class Calls(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return NO_PRODUCTS[name](images.float().repeat(1, 3, 1, 1) - 100)

    assert inspect_products(Calls(), SHAPE).products == ()


def test_scales_per_channel_and_means_over_positions_are_no_products() -> None:
    scale = torch.randn(3, 1, 1)

    class Scales(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            x = images.float().expand(-1, 3, -1, -1).clone()
            return (x * scale).mean((2, 3)) + x.amax((2, 3)) * 0.5

    report = inspect_products(Scales(), SHAPE)
    assert report.products == ()


def test_a_network_without_products_is_not_called_binary() -> None:
    with pytest.raises(UserError, match="no matrices"):
        check_products(nn.Identity(), SHAPE)
