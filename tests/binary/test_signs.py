"""Signs, products and the block against written-out arithmetic in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ib_analysis.binary import BinaryBlock, BinaryConv2d, BinaryLinear, Code, InputCode, Phase, set_phase
from ib_analysis.binary.block import PooledCopies, folded
from ib_analysis.binary.signs import approximate_sign, sign, sign_of_weights


def test_there_are_two_signs_and_zero_is_positive() -> None:
    for function in (sign, sign_of_weights):
        assert function(torch.tensor([-1e-30, -0.0, 0.0, 1e-30])).tolist() == [-1, 1, 1, 1]
        assert function(torch.randn(50, dtype=torch.float64)).dtype == torch.float64


def test_the_signs_gradient_is_that_of_the_polynomial() -> None:
    x = torch.linspace(-2, 2, 401, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(401, dtype=torch.float64)
    (of_sign,) = torch.autograd.grad((sign(x) * upstream).sum(), x)
    (of_polynomial,) = torch.autograd.grad((approximate_sign(x) * upstream).sum(), x)
    torch.testing.assert_close(of_sign, of_polynomial)
    # and the polynomial is Bi-Real's, piece by piece
    values = x.detach()
    pieces = torch.where(values < 0, 2 * values + values**2, 2 * values - values**2)
    pieces = torch.where(values.abs() > 1, values.sign(), pieces)
    torch.testing.assert_close(approximate_sign(values), pieces)


def test_weights_beyond_one_get_no_gradient() -> None:
    weight = torch.tensor([-1.5, -1.0, 0.2, 1.0, 1.01], requires_grad=True)
    sign_of_weights(weight).sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [0, 1, 1, 1, 0]


@settings(max_examples=25, deadline=None)
@given(
    channels=st.integers(1, 5),
    outputs=st.integers(1, 4),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.integers(1, 3),
    size=st.tuples(st.integers(5, 8), st.integers(5, 8)),
    padding=st.sampled_from([-1, 1]),
    seed=st.integers(0, 99),
)
def test_a_convolution_of_signs_is_the_sum_of_agreements_minus_disagreements(
    channels: int, outputs: int, kernel: int, stride: int, size: tuple[int, int], padding: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    layer = BinaryConv2d(channels, outputs, kernel, stride, padding)
    layer.weight.data.normal_(generator=generator)
    set_phase(layer, Phase.BINARY)
    x = torch.randint(2, (2, channels, *size), generator=generator) * 2 - 1
    margin = kernel // 2
    framed = F.pad(x, (margin,) * 4, value=padding)
    patches = framed.unfold(2, kernel, stride).unfold(3, kernel, stride)  # (B, C, h, w, k, k)
    is_positive = layer.weight.detach() >= 0
    agree = (patches[:, None] > 0) == is_positive[None, :, :, None, None]
    whole = (2 * agree.long() - 1).sum((2, 5, 6))
    scale = layer.weight.detach().abs().double().mean((1, 2, 3))[:, None, None]
    torch.testing.assert_close(layer(x.float()).double(), whole * scale, rtol=1e-5, atol=1e-6)


def test_in_the_first_step_weights_are_real_and_not_scaled() -> None:
    layer, x = set_phase(BinaryLinear(6, 3), Phase.SIGNS), torch.randn(4, 6).sign()
    torch.testing.assert_close(layer(x), x @ layer.weight.T)


def trained_block(product: BinaryConv2d | BinaryLinear, *, shortcut: nn.Module | None = None) -> BinaryBlock:
    channels = product.weight.shape[1]
    block = BinaryBlock(product, Code(channels), shortcut, activation=True)
    for parameter in block.parameters():
        parameter.data.normal_()
    set_phase(block, Phase.BINARY)
    inner = () if isinstance(product, BinaryLinear) else (6, 6)
    for _ in range(3):
        block(torch.randn(8, channels, *inner))  # moves the running statistics
    return block.eval()


@pytest.mark.parametrize("make", [lambda: BinaryConv2d(4, 4), lambda: BinaryLinear(4, 4)])
def test_scales_fold_into_the_normalisation_behind(make) -> None:
    block = trained_block(make(), shortcut=nn.Identity())
    x = torch.randn(3, 4, *(() if isinstance(block.product, BinaryLinear) else (6, 6)))
    weight = torch.where(block.product.weight >= 0, 1.0, -1.0)
    signs = torch.where(x + block.code.shift.view(1, -1, *[1] * (x.ndim - 2)) >= 0, 1.0, -1.0)  # type: ignore[union-attr]
    whole = (
        F.linear(signs, weight)
        if isinstance(block.product, BinaryLinear)
        else F.conv2d(F.pad(signs, (1, 1, 1, 1), value=-1.0), weight)
    )
    assert torch.equal(whole, whole.round())
    scale, shift = (value.view(1, -1, *[1] * (x.ndim - 2)) for value in folded(block))
    torch.testing.assert_close(block.activation(whole * scale + shift + x), block(x), rtol=1e-4, atol=1e-5)


def test_a_block_of_real_weights_does_not_fold() -> None:
    with pytest.raises(ValueError, match="binary"):
        folded(set_phase(BinaryBlock(BinaryLinear(2, 2), activation=False), Phase.SIGNS))  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(6, 6), (5, 7)])
def test_a_pooled_shortcut_has_the_size_of_a_strided_convolution(shape: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *shape).sign()
    found = PooledCopies(6)(x)
    assert found.shape == BinaryConv2d(3, 6, stride=2)(x).shape
    assert torch.equal(found[:, :3], found[:, 3:])
    torch.testing.assert_close(found[0, 0, 0, 0], x[0, 0, :2, :2].mean())


@pytest.mark.parametrize("intensities", [2, 5, 16, 256])
def test_full_input_codes_lose_nothing_and_thermometers_rise(intensities: int) -> None:
    pixels = torch.arange(intensities).reshape(-1, 1, 1, 1)
    for kind in ("thermometer", "bit_planes"):
        code = InputCode(kind, 1, intensities, levels=255)  # type: ignore[arg-type]
        found = code(pixels).flatten(1)
        assert found.shape == (intensities, code.out_channels)
        assert set(found.unique().tolist()) == {-1.0, 1.0}
        assert len(found.unique(dim=0)) == intensities
    few = InputCode("thermometer", 1, intensities, levels=3)(pixels).flatten(1)
    steps = few.diff(dim=0)
    assert bool((steps >= 0).all())
    counts = few.unique(dim=0, return_counts=True)[1]
    assert counts.max() - counts.min() <= 1 or intensities < 4, "equally spaced thresholds"


def test_the_input_codes_channels_are_colour_by_colour() -> None:
    images = torch.tensor([0, 15, 8]).reshape(1, 3, 1, 1)
    found = InputCode("bit_planes", 3, 16)(images).reshape(3, 4)
    assert found.tolist() == [[-1] * 4, [1] * 4, [1, -1, -1, -1]]
