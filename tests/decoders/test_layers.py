"""Convolutions against sums written out tap by tap; nonlinearities against torch's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from decoders.activations import concat_elu, gated_sum
from decoders.layers import UpsamplingConvolution, WeightNormConvolution


def normalised(layer: WeightNormConvolution | UpsamplingConvolution, axis: int) -> torch.Tensor:
    """The weight by the formula, one output channel at a time."""
    slices = []
    for direction, gain in zip(layer.direction.unbind(axis), layer.gain, strict=True):
        slices.append(gain * direction / direction.square().sum().sqrt())
    return torch.stack(slices, axis)


@pytest.mark.parametrize(("stream", "offsets"), [("upper", (-1, 0, 1)), ("left", (-1, 0))])
@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_reaches_one_row_up(stream: str, offsets: tuple[int, ...], stride: int) -> None:
    torch.manual_seed(0)
    layer = WeightNormConvolution(3, 4, stream, stride=stride).double()
    with torch.no_grad():
        layer.gain.normal_()
        layer.bias.normal_()
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64)
    weight = normalised(layer, 0)
    result = layer(x)
    assert result.shape == (2, 4, 4 // stride, 6 // stride)
    for row in range(0, 4, stride):
        for column in range(0, 6, stride):
            wanted = layer.bias.expand(2, 4)
            for a, down in enumerate((-1, 0)):
                for b, right in enumerate(offsets):
                    if row + down >= 0 and 0 <= column + right < 6:
                        wanted = wanted + x[:, :, row + down, column + right] @ weight[:, :, a, b].T
            assert torch.allclose(result[:, :, row // stride, column // stride], wanted)


@pytest.mark.parametrize(("stream", "offsets"), [("upper", (-1, 0, 1)), ("left", (0, 1))])
def test_upsampling_reaches_two_rows_down(stream: str, offsets: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer = UpsamplingConvolution(3, 4, stream).double()
    with torch.no_grad():
        layer.gain.normal_()
        layer.bias.normal_()
    x = torch.randn(2, 3, 3, 4, dtype=torch.float64)
    weight = normalised(layer, 1)
    wanted = layer.bias.view(1, 4, 1, 1).expand(2, 4, 6, 8).clone()
    for row in range(3):
        for column in range(4):
            for a in range(2):
                for b, right in enumerate(offsets):
                    if 0 <= 2 * column + right < 8:
                        wanted[:, :, 2 * row + a, 2 * column + right] += x[:, :, row, column] @ weight[:, :, a, b]
    assert torch.allclose(layer(x), wanted)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_nonlinearities_and_their_gradients(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    gates = torch.randn(2, 6, 4, 5, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    assert torch.allclose(concat_elu(x), F.elu(torch.cat((x, -x), 1)), atol=1e-15)
    assert torch.allclose(gated_sum(x, gates), x + F.glu(gates, 1), atol=1e-15)
    assert torch.autograd.gradcheck(concat_elu, x)
    assert torch.autograd.gradcheck(gated_sum, (x, gates))


def test_extreme_values_stay_finite() -> None:
    x = torch.tensor([-1e30, -100.0, 0.0, 100.0, 1e30]).view(1, 5, 1, 1).requires_grad_()
    result = concat_elu(x)
    result.sum().backward()
    assert torch.isfinite(result).all()
    assert torch.equal(result[0, 2, 0, 0], torch.tensor(0.0))
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
