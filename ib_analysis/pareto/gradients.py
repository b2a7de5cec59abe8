"""Gradients of several losses from one forward pass, their Gram matrix and their weighted sums."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Rows", "combined", "first_not_finite", "gradient_rows", "gramian"]

Rows = Sequence[Sequence[Tensor | None]]
"""For each loss, a gradient per parameter; None where the loss does not depend on it."""


def gradient_rows(
    losses: Sequence[Tensor], parameters: Sequence[Tensor], n_losses: int | None = None
) -> list[list[Tensor | None]]:
    """One backward pass per loss; the graph is kept between them and freed by the last.

    The forward pass is not repeated, so that batch normalisation sees the batch once.

    Arguments:
        losses: scalars.
        parameters: leaves that require a gradient.
        n_losses: how many are losses; those after them are constraints, and called so. By default all.

    Returns:
        m lists of as many gradients as there are parameters.

    Raises:
        ValueError: a loss is no scalar, depends on none of the parameters, or has a sparse gradient.
    """
    rows: list[list[Tensor | None]] = []
    for index, loss in enumerate(losses):
        what = f"Loss {index}" if n_losses is None or index < n_losses else f"Constraint {index - n_losses}"
        if loss.numel() != 1:
            raise ValueError(f"{what} has shape {tuple(loss.shape)}; give a scalar, for instance its mean.")
        if not loss.requires_grad:
            raise ValueError(f"{what} has no gradient; compute it from the parameters and do not detach it.")
        last = index == len(losses) - 1
        found = torch.autograd.grad(loss, parameters, retain_graph=not last, allow_unused=True)
        if all(gradient is None for gradient in found):
            raise ValueError(f"{what} depends on none of the parameters that are trained.")
        if any(gradient is not None and gradient.layout != torch.strided for gradient in found):
            raise ValueError(f"{what} has a sparse gradient; make the embedding with sparse=False.")
        rows.append(list(found))
    return rows


def gramian(
    rows: Rows, free: Sequence[Tensor] | None = None, *, places: Sequence[int] | None = None
) -> NDArray[np.float64]:
    """Inner products of gradients; only this (k, k) matrix ever leaves the device.

    Arguments:
        rows: k gradients.
        free: for each parameter, 1 where it may move and 0 where it may not; by default it may everywhere.
        places: of the parameters to sum over; by default all.

    Returns:
        Shape (k, k), float64.
    """
    parts: list[Tensor] = []
    for place in range(len(rows[0]) if rows else 0) if places is None else places:
        known = [row[place] for row in rows]
        present = [index for index, gradient in enumerate(known) if gradient is not None]
        if not present:
            continue
        stacked = torch.stack([known[index].flatten() for index in present])  # type: ignore[union-attr]
        if stacked.dtype in (torch.float16, torch.bfloat16):
            stacked = stacked.float()
        if free is not None:
            stacked = stacked * free[place].flatten()
        part = stacked.new_zeros(len(rows), len(rows))
        chosen = torch.tensor(present, device=stacked.device)
        part[chosen[:, None], chosen] = stacked @ stacked.T
        parts.append(part)
    if not parts:
        return np.zeros((len(rows), len(rows)))
    devices = {part.device for part in parts}
    sums = [torch.stack([part for part in parts if part.device == device]).cpu().double().sum(0) for device in devices]
    total: NDArray[np.float64] = torch.stack(sums).sum(0).numpy()
    return (total + total.T) / 2


def first_not_finite(rows: Rows) -> int | None:
    """The first gradient with an entry that is not finite, at any parameter; None where all are finite.

    A Gram matrix tells only of the parameters that it is summed over.
    """
    for index, row in enumerate(rows):
        finite = [torch.isfinite(gradient).all() for gradient in row if gradient is not None]
        devices = {flag.device for flag in finite}
        if not all(bool(torch.stack([f for f in finite if f.device == device]).all()) for device in devices):
            return index
    return None


def combined(rows: Rows, weights: NDArray[np.float64]) -> list[Tensor | None]:
    """sum_i weights_i rows_i, per parameter; None where none of them depends on it."""
    sums: list[Tensor | None] = []
    for place in range(len(rows[0]) if rows else 0):
        total: Tensor | None = None
        for row, weight in zip(rows, weights, strict=True):
            gradient = row[place]
            if gradient is not None:
                total = gradient * float(weight) if total is None else total.add_(gradient, alpha=float(weight))
        sums.append(total)
    return sums
