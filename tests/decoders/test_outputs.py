"""Both output distributions against naive float64 references written from the papers' formulas."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders import ImageSpace
from decoders.outputs import Categorical, LogisticMixture


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))


def logistic_mixture_probability(
    parameters: list[float], pixel: list[int], intensities: int, m: int, clamp: float
) -> float:
    """p(pixel) by equations 1 to 3 of arXiv 1701.05517, differences of sigmoids as they stand."""
    channels, top = len(pixel), intensities - 1
    weights = [math.exp(parameters[k]) for k in range(m)]
    scaled = [2 * value / top - 1 for value in pixel]

    def group(index: int, k: int) -> float:
        return parameters[index * m + k]

    total = 0.0
    for k in range(m):
        probability = weights[k] / sum(weights)
        for c in range(channels):
            mean = group(1 + c, k)
            scale = math.exp(max(group(1 + channels + c, k), clamp))
            first = 1 + 2 * channels
            if c == 1:
                mean += math.tanh(group(first, k)) * scaled[0]
            if c == 2:
                mean += math.tanh(group(first + 1, k)) * scaled[0] + math.tanh(group(first + 2, k)) * scaled[1]
            above = 1.0 if pixel[c] == top else sigmoid((scaled[c] + 1 / top - mean) / scale)
            below = 0.0 if pixel[c] == 0 else sigmoid((scaled[c] - 1 / top - mean) / scale)
            probability *= above - below
        total += probability
    return total


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("intensities", [2, 17, 256])
def test_logistic_mixture_equals_the_formula(channels: int, intensities: int) -> None:
    torch.manual_seed(0)
    output = LogisticMixture(ImageSpace(channels, 1, 6, intensities), components=4, log_scale_min=-2.5)
    parameters = torch.randn(3, output.n_parameters, 1, 6, dtype=torch.float64)
    x = torch.randint(intensities, (3, channels, 1, 6))
    x[0, :, 0, 0], x[0, :, 0, 1], x[1, 0, 0, 2], x[1, -1, 0, 3] = 0, intensities - 1, 0, intensities - 1
    result = output.log_prob(parameters, x)
    for b in range(3):
        for column in range(6):
            wanted = logistic_mixture_probability(
                parameters[b, :, 0, column].tolist(), x[b, :, 0, column].tolist(), intensities, 4, -2.5
            )
            assert math.isclose(float(result[b, 0, column]), math.log(wanted), rel_tol=1e-7, abs_tol=1e-8)


@settings(max_examples=40, deadline=None)
@given(
    mean=st.floats(-3, 3),
    log_scale=st.floats(-9, 2),
    value=st.sampled_from([0, 1, 128, 254, 255]),
)
def test_logistic_gradients_are_finite_in_float32_even_at_the_clamp(mean: float, log_scale: float, value: int) -> None:
    output = LogisticMixture(ImageSpace(1, 1, 1, 256), components=1, log_scale_min=-7.0)
    parameters = torch.tensor([0.0, mean, log_scale]).view(1, 3, 1, 1).requires_grad_()
    log_prob = output.log_prob(parameters, torch.tensor([[[[value]]]]))
    log_prob.sum().backward()
    assert torch.isfinite(log_prob).all()
    assert log_prob.item() <= 1e-6
    assert parameters.grad is not None
    assert torch.isfinite(parameters.grad).all()
    if log_scale < -7:
        assert parameters.grad[0, 2] == 0


def test_log_scale_clamp_bounds_the_density() -> None:
    image = ImageSpace(1, 1, 1, 256)
    parameters = torch.tensor([0.0, 2 * 100 / 255 - 1, -50.0], dtype=torch.float64).view(1, 3, 1, 1)
    x = torch.tensor([[[[100]]]])
    sharp, blunt = (float(LogisticMixture(image, 1, clamp).log_prob(parameters, x)) for clamp in (-7.0, -3.0))
    assert math.isclose(blunt, math.log(2 * sigmoid(math.exp(3) / 255) - 1), rel_tol=1e-9)
    assert math.isclose(sharp, math.log(2 * sigmoid(math.exp(7) / 255) - 1), rel_tol=1e-9)


def test_categorical_equals_a_softmax_in_grey() -> None:
    torch.manual_seed(0)
    output = Categorical(ImageSpace(1, 2, 3, 17))
    parameters = torch.randn(2, 17, 2, 3, dtype=torch.float64)
    x = torch.randint(17, (2, 1, 2, 3))
    x[0, 0, 0, 0], x[0, 0, 0, 1] = 0, 16
    result = output.log_prob(parameters, x)
    for b, row, column in torch.cartesian_prod(torch.arange(2), torch.arange(2), torch.arange(3)).tolist():
        logits = parameters[b, :, row, column].tolist()
        wanted = logits[x[b, 0, row, column]] - math.log(sum(map(math.exp, logits)))
        assert math.isclose(float(result[b, row, column]), wanted, rel_tol=1e-10)


def test_categorical_equals_its_formula_in_colour() -> None:
    torch.manual_seed(0)
    output = Categorical(ImageSpace(3, 1, 1, 5)).double()
    parameters = torch.randn(1, output.n_parameters, 1, 1, dtype=torch.float64)
    weights = [linear.weight.tolist() for linear in output.readouts]
    biases = [linear.bias.tolist() for linear in output.readouts]
    tables = [embedding.weight.tolist() for embedding in output.embeddings]
    features = parameters.view(3, output.features).tolist()
    for pixel in ([0, 0, 0], [4, 4, 4], [1, 3, 0], [4, 0, 2]):
        wanted = 0.0
        for c in range(3):
            hidden = list(features[c])
            for earlier, table in {0: [], 1: [(0, 0)], 2: [(0, 1), (1, 2)]}[c]:
                hidden = [a + b for a, b in zip(hidden, tables[table][pixel[earlier]], strict=True)]
            hidden = [h if h > 0 else math.exp(h) - 1 for h in hidden]
            logits = [sum(a * h for a, h in zip(row, hidden, strict=True)) for row in weights[c]]
            logits = [a + b for a, b in zip(logits, biases[c], strict=True)]
            wanted += logits[pixel[c]] - math.log(sum(map(math.exp, logits)))
        result = output.log_prob(parameters, torch.tensor(pixel).view(1, 3, 1, 1))
        assert math.isclose(result.item(), wanted, rel_tol=1e-10)


@pytest.mark.parametrize("output_class", ["logistic_mixture", "categorical"])
@pytest.mark.parametrize("channels", [1, 3])
def test_samples_follow_log_prob(output_class: str, channels: int) -> None:
    torch.manual_seed(3)
    image = ImageSpace(channels, 1, 1, 3)
    output = Categorical(image) if output_class == "categorical" else LogisticMixture(image, 2, -7.0)
    output = output.double()
    parameters = 0.7 * torch.randn(1, output.n_parameters, dtype=torch.float64)
    n = 30_000
    with torch.no_grad():
        drawn = output.sample(parameters.expand(n, -1), torch.rand(n, output.n_uniforms, dtype=torch.float64))
        values = torch.cartesian_prod(*[torch.arange(3)] * channels).view(-1, channels, 1, 1)
        probabilities = output.log_prob(parameters.view(1, -1, 1, 1).expand(len(values), -1, 1, 1), values)
    place = torch.tensor([3**k for k in reversed(range(channels))])
    counts = torch.bincount((drawn * place).sum(1), minlength=3**channels)
    expected = n * probabilities.flatten().exp()
    assert math.isclose(float(expected.sum()), n, rel_tol=1e-9)
    assert ((counts - expected).abs() < 5.5 * expected.sqrt() + 3).all()


@pytest.mark.parametrize("output_class", ["logistic_mixture", "categorical"])
def test_half_precision_parameters_are_evaluated_in_float32(output_class: str) -> None:
    image = ImageSpace(1, 1, 2, 16)
    output = Categorical(image) if output_class == "categorical" else LogisticMixture(image, 3, -7.0)
    parameters = torch.randn(1, output.n_parameters, 1, 2).bfloat16()
    x = torch.randint(16, (1, 1, 1, 2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = output.log_prob(parameters, x)
    assert result.dtype == torch.float32
    assert torch.equal(result, output.log_prob(parameters.float(), x))
