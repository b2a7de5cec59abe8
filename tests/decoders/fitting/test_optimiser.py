"""Muon and Adam on flat parameters, against naive float64 versions."""

from __future__ import annotations

import math

import pytest
import torch
from decoder_builders import CELLS, build
from torch import nn

from decoders import ImageSpace
from decoders.fitting.flat_parameters import FlatParameters
from decoders.fitting.newton_schulz import orthogonalised
from decoders.fitting.optimiser import Optimiser
from decoders.fitting.schedule import FittingConfig
from decoders.layers import UpsamplingConvolution, WeightNormConvolution
from decoders.matrices import matrices_of

MUON = FittingConfig(optimiser="muon", learning_rate=0.01, betas=(0.9, 0.99), matrix_learning_rate=0.1)


class Toy(nn.Module):
    """A bit of everything: a kernel under weight norm, a transposed one, plain ones, an embedding, a frozen one."""

    def __init__(self) -> None:
        super().__init__()
        self.normed = WeightNormConvolution(3, 4, "left")
        self.finer = UpsamplingConvolution(4, 2, "upper")
        self.plain = nn.Conv2d(2, 6, 1)
        self.head = nn.Linear(6, 6, bias=False)
        self.embedding = nn.Embedding(5, 3)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)


def toy() -> Toy:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    try:
        return Toy()
    finally:
        torch.set_default_dtype(torch.float32)


def test_matrices_are_kernels_and_linear_maps_and_nothing_else() -> None:
    assert set(matrices_of(toy())) == {"normed.direction", "finer.direction", "plain.weight", "head.weight"}


def test_every_parameter_of_a_decoder_with_two_axes_is_one_but_for_rows_per_cell() -> None:
    decoder = build(ImageSpace(1, 8, 8), cells=CELLS, cell_adapters=True)
    found = matrices_of(decoder)
    others = {name: p for name, p in decoder.named_parameters() if name not in found}
    assert found
    assert {name.rpartition(".")[2] for name, p in others.items() if p.ndim > 1} == {
        "cell_scale",
        "cell_shift",
        "adapters",
    }


def test_rows_are_outputs_in_either_order_of_axes() -> None:
    module = toy()
    for name, matrix in matrices_of(module).items():
        parameter = module.get_parameter(name)
        rows = matrix.rows_of(parameter)
        torch.testing.assert_close(matrix.shaped_like(rows, parameter), parameter)
        outputs = {"normed": 4, "finer": 2, "plain": 6, "head": 6}[name.partition(".")[0]]
        assert rows.shape == (outputs, parameter.numel() // outputs)


def naive(module: nn.Module, gradients: list[dict[str, torch.Tensor]], rates: list[float]) -> dict[str, torch.Tensor]:
    """Both optimisers parameter by parameter, from their published formulas."""
    matrices, weights = matrices_of(module), {n: p.detach().clone() for n, p in module.named_parameters()}
    for name, matrix in matrices.items():
        if matrix.unit_rows:
            rows = matrix.rows_of(weights[name])
            weights[name] = matrix.shaped_like(rows / rows.norm(dim=1, keepdim=True), weights[name])
    first, second = ({n: torch.zeros_like(w) for n, w in weights.items()} for _ in range(2))
    beta, gamma = MUON.betas
    for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        for name, g in gradient.items():
            if name not in matrices:
                first[name] = beta * first[name] + (1 - beta) * g
                second[name] = gamma * second[name] + (1 - gamma) * g * g
                mean, square = first[name] / (1 - beta**step), second[name] / (1 - gamma**step)
                weights[name] = weights[name] - rate * mean / (square.sqrt() + 1e-8)
                continue
            momentum, matrix = MUON.matrix_momentum, matrices[name]
            first[name] = momentum * first[name] + (1 - momentum) * g
            rows = matrix.rows_of((1 - momentum) * g + momentum * first[name])
            turn = orthogonalised(rows) * math.sqrt(max(1, rows.shape[0] / rows.shape[1]))
            moved = matrix.rows_of(weights[name]) - MUON.matrix_learning_rate * rate / MUON.learning_rate * turn
            if matrix.unit_rows:
                moved = moved / moved.norm(dim=1, keepdim=True)
            weights[name] = matrix.shaped_like(moved, weights[name])
    return weights


def run(module: nn.Module, gradients: list[dict[str, torch.Tensor]], rates: list[float]) -> Optimiser:
    flat = FlatParameters(module, matrices_of(module))
    optimiser = Optimiser(flat, MUON)
    for gradient, rate in zip(gradients, rates, strict=True):
        for name, g in gradient.items():
            module.get_parameter(name).grad.copy_(g)
        optimiser.step(rate)
    return optimiser


def drawn_gradients(module: nn.Module, steps: int) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    return [{n: torch.randn(p.shape, generator=generator, dtype=p.dtype) for n, p in named} for _ in range(steps)]


def test_steps_are_those_of_the_formulas() -> None:
    module, reference = toy(), toy()
    gradients, rates = drawn_gradients(module, 4), [0.01, 0.02, 0.005, 0.0]
    wanted = naive(reference, gradients, rates)
    run(module, gradients, rates)
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(parameter.detach(), wanted[name], atol=1e-7, rtol=1e-6, msg=name)


def test_the_function_does_not_change_when_rows_are_brought_to_norm_one() -> None:
    module = toy()
    before = {name: layer.weight().clone() for name, layer in (("normed", module.normed), ("finer", module.finer))}
    flat = FlatParameters(module, matrices_of(module))
    Optimiser(flat, MUON)
    for name, weight in before.items():
        torch.testing.assert_close(getattr(module, name).weight(), weight)
    rows = matrices_of(module)["finer.direction"].rows_of(module.finer.direction)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_moments_can_be_handed_on(optimiser: str) -> None:
    config = FittingConfig(optimiser=optimiser, learning_rate=0.01, matrix_learning_rate=0.1)  # type: ignore[arg-type]
    gradients = drawn_gradients(toy(), 4)

    def course(interrupted: bool) -> torch.Tensor:
        module = toy()
        flat = FlatParameters(module, matrices_of(module) if optimiser == "muon" else None)
        optimiser_ = Optimiser(flat, config)
        for step, gradient in enumerate(gradients):
            if interrupted and step == 2:
                first, second = optimiser_.first_moment.clone(), optimiser_.second_moment.clone()
                weights = flat.weights.data.clone()
                optimiser_ = Optimiser(flat, config)
                flat.weights.data.copy_(weights)
                optimiser_.set_moments(first, second, step)
            for name, g in gradient.items():
                module.get_parameter(name).grad.copy_(g)
            optimiser_.step(0.01)
        return flat.weights.data.clone()

    assert torch.equal(course(True), course(False))


def test_a_gradient_of_zero_moves_no_matrix() -> None:
    module = toy()
    before = module.plain.weight.detach().clone()
    run(module, [{n: torch.zeros_like(g) for n, g in drawn_gradients(module, 1)[0].items()}], [0.01])
    assert torch.equal(module.plain.weight.detach(), before)
