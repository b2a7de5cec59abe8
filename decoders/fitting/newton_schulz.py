"""The orthogonal matrix nearest to a matrix, roughly, by products of matrices alone."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["COEFFICIENTS", "LARGEST", "SMALLEST", "STEPS", "orthogonalised"]

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the odd polynomial a s + b s^3 + c s^5 that every step applies to the singular values: steep at zero, so that
small ones rise fast, at the price of ending in a band around 1 (Jordan et al. 2024, "Muon: an optimizer for hidden
layers in neural networks")."""
STEPS = 5
"""Applications of the polynomial (the same source)."""
SMALLEST, LARGEST = 0.68, 1.14
"""Between these lie the singular values of the result, if those of the matrix are at least a hundredth of its Frobenius
norm (found by applying the polynomial to a fine grid; a test does)."""


def orthogonalised(matrices: Tensor, steps: int = STEPS) -> Tensor:
    """U V^T of the singular value decomposition U S V^T, with singular values near 1 instead of at 1.

    Each matrix is divided by its Frobenius norm, which brings its singular values into [0, 1], and then the polynomial
    is applied to them: x (a + b x^T x + c (x^T x)^2). Singular vectors stay as they are. Singular values that are zero
    stay zero, so that a matrix of less than full rank gives a partial isometry, and the zero matrix the zero matrix.

    Arguments:
        matrices: shape (..., m, n), real, of any floating type; computed in that type.
        steps: applications of the polynomial.

    Returns:
        Shape (..., m, n).

    Example:
        >>> torch.linalg.svdvals(orthogonalised(torch.diag(torch.tensor([1.0, 2.0, 3.0])))).round(decimals=1)
        tensor([1.1000, 0.7000, 0.7000])
    """
    rows, columns = matrices.shape[-2:]
    x = matrices.mT if rows > columns else matrices  # the smaller Gram matrix of the two
    # By the largest entry first: squares of tiny or huge entries would leave the range of the type.
    largest = x.abs().amax((-2, -1), keepdim=True)
    x = x / torch.where(largest > 0, largest, 1)
    norm = torch.linalg.matrix_norm(x, keepdim=True)
    x = x / torch.where(norm > 0, norm, 1)
    shape = x.shape
    x = x.reshape(-1, *shape[-2:])
    long = 2 * shape[-2] <= shape[-1] and x.dtype in (torch.float32, torch.float64)
    x = (_by_gram_matrix(x, steps) if long else _by_products(x, steps)).view(shape)
    return x.mT if rows > columns else x


def _by_products(x: Tensor, steps: int) -> Tensor:
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _by_gram_matrix(x: Tensor, steps: int) -> Tensor:
    """The same for matrices much longer than wide: what multiplies x is a polynomial of its Gram matrix alone.

    Of two long products a step, two are left in all.
    """
    a, b, c = COEFFICIENTS
    gram = x @ x.mT
    product: Tensor | None = None
    for step in range(steps):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=-2, dim2=-1).add_(a)
        product = factor if product is None else factor @ product
        if step + 1 < steps:
            gram = factor @ gram @ factor
    return x if product is None else product @ x
