"""Products of elements, followed from where they are computed to where they are summed, which makes a dense product.

Every product carries labels: a number per element, equal where it is multiplied by the same element of both factors'
common axes. What moves elements moves their labels with them; a sum that adds elements of different labels is a
product of matrices, whatever lies between. One that does not, as of a scale per channel and then a mean over positions,
is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ib_analysis.binary.operations import MOVES, REDUCTIONS, Operands, shared_axes

__all__ = ["SummedProducts", "tensors_of"]

_CONSTANTS = ("new_", "empty", "zeros", "ones", "full", "fill", "arange", "scalar_tensor", "equal", "item")
"""How moves begin that make new numbers of whatever they are given."""
_VIEWS = frozenset(["view", "reshape", "_unsafe_view", "_reshape_alias", "flatten", "unflatten"])
_SAME = frozenset(["_to_copy", "to", "clone", "contiguous", "detach", "alias", "lift", "lift_fresh", "copy_"])
_SELECTIONS = frozenset(["amax", "amin", "max", "min", "topk", "max_pool2d", "max_pool2d_with_indices"])
_WEIGHTED = ("sum", "mean", "cumsum", "avg_pool", "adaptive_avg_pool", "upsample_bi")
"""How operations begin that add elements, with weights that do not depend on them."""
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class _Labelled:
    """A product of elements that a tensor carries.

    Arguments:
        operands: what was multiplied.
        labels: float64, of the tensor's shape.
        of_signs: whether both factors are signs.
    """

    operands: Operands
    labels: Tensor
    of_signs: bool


class SummedProducts:
    """What the tensors of one pass carry."""

    def __init__(self) -> None:
        # By id, and kept: an id is worth something while its tensor lives.
        self._carried: dict[int, tuple[Tensor, list[_Labelled]]] = {}

    def add(self, pair: tuple[Tensor, Tensor], product: Tensor) -> None:
        """A tensor is a product of elements. Arguments: see `operations.factors`; it has the pair's common shape."""
        axes = shared_axes(pair, product)
        if axes:
            sizes = [size if axis in axes else 1 for axis, size in enumerate(product.shape)]
            labels = _labels(sizes, product.device).expand(product.shape)
            of_signs = all(_are_signs(one) for one in pair)
            self._carry(product, [_Labelled(Operands(*pair, product.numel()), labels, of_signs)])

    def follow(self, operation: Any, args: Sequence[Any], kwargs: dict[str, Any], output: Any) -> list[Operands]:
        """The products of matrices that an operation completes by a sum; what its results carry is kept."""
        if not any(self._of(one) for one in tensors_of([args, kwargs])):
            return []
        name, made = operation.overloadpacket.__name__, tensors_of(output)
        if name in REDUCTIONS and name.lstrip("_").startswith(_WEIGHTED):
            return self._summed(operation, args, kwargs, made[0])
        if name in MOVES or name in _SELECTIONS:
            if not name.startswith(_CONSTANTS):
                self._moved(operation, args, kwargs, made)
        # New signs carry nothing: their sums are of signs, whatever they were made from.
        elif made and not _are_signs(made[0]):
            # A reduction of the same shape is a normalisation, which leaves each element where it is.
            pointwise = torch.Tag.pointwise in operation.tags
            for given in tensors_of([args, kwargs]):
                if not pointwise and given.shape != made[0].shape:
                    continue
                carried = [replace(one, labels=one.labels.expand(made[0].shape)) for one in self._of(given)]
                self._carry(made[0], carried)
        return []

    def _of(self, tensor: Tensor) -> list[_Labelled]:
        return self._carried.get(id(tensor), (tensor, []))[1]

    def _carry(self, tensor: Tensor, found: list[_Labelled]) -> None:
        known = self._carried.setdefault(id(tensor), (tensor, []))[1]
        for one in found:  # labels are the same for the same axes, so that one such product speaks for all
            if not any(one.of_signs == other.of_signs and torch.equal(one.labels, other.labels) for other in known):
                known.append(one)

    def _moved(self, operation: Any, args: Sequence[Any], kwargs: dict[str, Any], made: list[Tensor]) -> None:
        name = operation.overloadpacket.__name__
        for source in tensors_of([args, kwargs]):
            for one in self._of(source):
                if name in _VIEWS:
                    labels = [one.labels.reshape(made[0].shape)]
                elif name in _SAME:
                    labels = [one.labels.expand(made[0].shape)]
                elif name == "as_strided":  # goes by where numbers lie in memory, so that any two may now differ
                    labels = [_labels(made[0].shape, made[0].device)]
                else:
                    labels = _applied(operation, args, kwargs, source, one.labels)
                for target, moved in zip(made, labels, strict=False):
                    if moved.shape == target.shape and moved.is_floating_point():
                        self._carry(target, [replace(one, labels=moved)])

    def _summed(self, operation: Any, args: Sequence[Any], kwargs: dict[str, Any], made: Tensor) -> list[Operands]:
        found = []
        for one in self._of(args[0]):
            # Of numbers that are all the same, and of no others, (sum of a)^2 is (sum of 1) (sum of a^2).
            ones, first, second = (
                _applied(operation, args, kwargs, args[0], one.labels**power)[0] for power in (0, 1, 2)
            )
            if bool((ones * second - first**2 > _TOLERANCE * ones**2).any()):
                found.append(one.operands)
            else:
                self._carry(made, [replace(one, labels=first / ones)])
        return found


def _are_signs(x: Tensor) -> bool:
    return x.dtype == torch.bool or bool(((x == 1) | (x == -1)).all())


def _labels(sizes: Sequence[int], device: torch.device) -> Tensor:
    """Drawn with few digits, so that sums of equal ones are exact."""
    generator = torch.Generator().manual_seed(0)
    return (torch.randint(1, 2**20, list(sizes), generator=generator).double() / 2**20).to(device)


def _applied(
    operation: Any, args: Sequence[Any], kwargs: dict[str, Any], source: Tensor, labels: Tensor
) -> list[Tensor]:
    """What an operation makes of labels in the place of a tensor, and of zeros in that of other real numbers."""

    def replaced(value: Any) -> Any:
        if isinstance(value, Tensor):
            if value is source:
                return labels
            return torch.zeros_like(value, dtype=torch.float64) if value.is_floating_point() else value
        return type(value)(replaced(one) for one in value) if isinstance(value, tuple | list) else value

    named = {name: replaced(value) for name, value in kwargs.items() if name != "dtype"}
    return tensors_of(operation(*replaced(list(args)), **named))


def tensors_of(value: Any) -> list[Tensor]:
    """All tensors in lists, tuples and dictionaries."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        return [found for one in value.values() for found in tensors_of(one)]
    return [found for one in value for found in tensors_of(one)] if isinstance(value, tuple | list) else []
