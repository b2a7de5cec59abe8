"""Which parameters of a network are matrices, that is, linear maps between features, and which are not."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Matrix", "matrices_of", "unit_rows"]

_OUTPUT_AXES: dict[type[nn.Module], int] = {nn.Linear: 0, nn.Conv2d: 0, nn.ConvTranspose2d: 1}


@dataclass(frozen=True)
class Matrix:
    """A parameter that maps features to features.

    Arguments:
        output_axis: its axis of output channels; all others together are the inputs.
        unit_rows: whether only the direction of each row counts (weight normalisation), so that rows can be kept at
            norm 1.
    """

    output_axis: int
    unit_rows: bool = False

    def rows_of(self, parameter: Tensor) -> Tensor:
        """The parameter as a matrix, (outputs, inputs); a view where the outputs come first."""
        return parameter.movedim(self.output_axis, 0).flatten(1)

    def shaped_like(self, rows: Tensor, parameter: Tensor) -> Tensor:
        """The inverse of `rows_of`: a matrix (outputs, inputs) in the shape of the parameter."""
        moved = parameter.movedim(self.output_axis, 0)
        return rows.reshape(moved.shape).movedim(0, self.output_axis)


def matrices_of(module: nn.Module) -> dict[str, Matrix]:
    """The trainable matrices of a network by name, in the order of its parameters.

    Those of linear maps and convolutions are known by the kind of their layer; other layers name theirs in an attribute
    ``matrices``, parameter -> `Matrix`. What is not named (gains, biases, embeddings, a row per cell) is no matrix.
    """
    found: dict[str, Matrix] = {}
    for prefix, layer in module.named_modules():
        named = getattr(layer, "matrices", None)
        if named is None:
            axis = next((axis for kind, axis in _OUTPUT_AXES.items() if isinstance(layer, kind)), None)
            named = {} if axis is None else {"weight": Matrix(axis)}
        found |= {f"{prefix}.{name}" if prefix else name: matrix for name, matrix in named.items()}
    trainable = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    return {name: matrix for name, matrix in found.items() if name in trainable}


def unit_rows(rows: Tensor) -> Tensor:
    """Rows, (..., m, n), divided by their norms; a row of zeros stays one.

    >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    norms = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    return rows / torch.where(norms > 0, norms, 1)
