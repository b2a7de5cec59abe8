"""Newton-Schulz against the singular value decomposition, on ordinary, tiny and degenerate matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.fitting.newton_schulz import COEFFICIENTS, LARGEST, SMALLEST, STEPS, orthogonalised


def polynomial(values: np.ndarray) -> np.ndarray:
    a, b, c = COEFFICIENTS
    for _ in range(STEPS):
        values = a * values + b * values**3 + c * values**5
    return values


def by_svd(matrix: torch.Tensor) -> torch.Tensor:
    """The same through the decomposition: the polynomial of the singular values, the vectors as they are."""
    u, s, vh = torch.linalg.svd(matrix.double(), full_matrices=False)
    s = s / s.square().sum().sqrt() if s.any() else s
    return u @ torch.diag_embed(torch.from_numpy(polynomial(s.numpy()))) @ vh


def test_the_band_of_the_polynomial_is_as_told() -> None:
    found = polynomial(np.linspace(0.01, 1.0, 200_001))
    assert SMALLEST <= found.min() < SMALLEST + 0.02
    assert LARGEST - 0.02 < found.max() <= LARGEST


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 9), columns=st.integers(1, 9), scale=st.floats(-30, 18), seed=st.integers(0, 1000))
def test_it_is_the_polynomial_of_the_singular_values(rows: int, columns: int, scale: float, seed: int) -> None:
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * 10.0**scale
    torch.testing.assert_close(orthogonalised(matrix).double(), by_svd(matrix), atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("shape", [(16, 64), (64, 16), (32, 32)])
def test_rows_or_columns_become_nearly_orthonormal(shape: tuple[int, int]) -> None:
    found = orthogonalised(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    values = torch.linalg.svdvals(found)
    assert values.min() > SMALLEST
    assert values.max() < LARGEST


def test_many_at_once_are_each_by_itself() -> None:
    matrices = (
        torch.randn(5, 7, 3, generator=torch.Generator().manual_seed(1)) * torch.logspace(-8, 8, 5)[:, None, None]
    )
    together = orthogonalised(matrices)
    for one, alone in zip(together, matrices, strict=True):
        torch.testing.assert_close(one, orthogonalised(alone), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_nothing_comes_of_nothing_and_ranks_stay(dtype: torch.dtype) -> None:
    assert not orthogonalised(torch.zeros(3, 4, dtype=dtype)).any()
    rank_one = torch.outer(torch.tensor([1.0, -2.0, 0.0]), torch.tensor([3.0, 1.0])).to(dtype)
    found = orthogonalised(rank_one)
    assert found.dtype == dtype
    values = torch.linalg.svdvals(found.float())
    assert 0.6 < values[0] < 1.2
    assert values[1] < 0.02
    assert not found[2].any()
    assert 0.6 < float(orthogonalised(torch.tensor([[-1e-30]], dtype=dtype)).abs()) < 1.2


@pytest.mark.parametrize("shape", [(16, 64), (24, 24)])
def test_bfloat16_is_float32_up_to_its_digits(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    found, wanted = orthogonalised(matrix.bfloat16()).float(), orthogonalised(matrix)
    assert (found - wanted).norm() < 0.05 * wanted.norm()


def test_gradients_that_overflow_when_squared_do_no_harm() -> None:
    matrix = torch.tensor([[1e30, 0.0], [0.0, 1e30]])
    assert torch.isfinite(orthogonalised(matrix)).all()
    assert torch.isfinite(orthogonalised(matrix.bfloat16())).all()
