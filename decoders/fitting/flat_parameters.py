"""All trainable parameters of a network in one tensor, so that a step costs a few calls instead of thousands.

A decoder has hundreds of small parameters. Optimiser, averaging, clipping, the sum over processes and the
copies that a fit can go back to are all element-wise, hence the same on one long tensor: on a CPU ten times
faster for small networks, and much shorter to write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from decoders.matrices import Matrix

__all__ = ["FlatParameters"]

_ALIGNMENT = 16  # elements: every parameter starts at a multiple of 64 bytes or more, as the kernels like it


class FlatParameters:
    """Lay the trainable parameters of ``module`` and their gradients out in ``weights`` and ``weights.grad``.

    The module's parameters become views: changing one changes the other. Gradients are accumulated by
    ``backward`` and set to zero by :meth:`zero_gradient`; a parameter that a loss does not touch has gradient
    zero, not None.

    Arguments:
        module: the network.
        matrices: parameters, by name, that come after all others; see `matrices`.

    Attributes:
        n_others: elements before the first of the matrices.
        matrices: place in the flat tensor, shape and kind of each of the matrices.

    Raises:
        ValueError: there is nothing to train, or the parameters differ in type or device.

    Example:
        >>> layer = nn.Linear(3, 2)
        >>> flat = FlatParameters(layer)
        >>> _ = flat.weights.data.fill_(1.0)
        >>> layer(torch.ones(1, 3)).tolist()
        [[4.0, 4.0]]
    """

    def __init__(self, module: nn.Module, matrices: Mapping[str, Matrix] | None = None) -> None:
        matrices = matrices or {}
        named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        named.sort(key=lambda pair: pair[0] in matrices)
        if not named:
            raise ValueError("The decoder has no trainable parameter: there is nothing to fit.")
        kinds = {(p.dtype, p.device) for _, p in named}
        if len(kinds) > 1:
            raise ValueError("The decoder's parameters differ in type or device: move all of them to one.")
        self._parameters = [p for _, p in named]
        self.layout = [[name, *p.shape] for name, p in named]
        """Names and shapes in order: plain data that tells whether a saved tensor belongs to this network."""
        sizes = [-(-p.numel() // _ALIGNMENT) * _ALIGNMENT for p in self._parameters]
        flat = self._parameters[0].new_zeros(sum(sizes), requires_grad=False)
        self.weights = nn.Parameter(flat)
        self.weights.grad = torch.zeros_like(flat)
        self.n_others = sum(size for size, (name, _) in zip(sizes, named, strict=True) if name not in matrices)
        self.matrices: list[tuple[slice, torch.Size, Matrix]] = []
        offset = 0
        for (name, parameter), size in zip(named, sizes, strict=True):
            place = slice(offset, offset + parameter.numel())
            if name in matrices:
                self.matrices.append((place, parameter.shape, matrices[name]))
            flat[place] = parameter.detach().flatten()
            parameter.data = flat[place].view(parameter.shape)
            parameter.grad = self.weights.grad[place].view(parameter.shape)
            offset += size

    @property
    def gradient(self) -> Tensor:
        """The gradient of all parameters, shape as ``weights``."""
        assert self.weights.grad is not None
        return self.weights.grad

    def zero_gradient(self) -> None:
        """Set all gradients to zero, in place."""
        self.gradient.zero_()

    @contextmanager
    def holding(self, values: Tensor) -> Iterator[None]:
        """Let the parameters have other ``values`` inside a ``with`` block."""
        kept = self.weights.detach().clone()
        self.weights.data.copy_(values)
        try:
            yield
        finally:
            self.weights.data.copy_(kept)

    def release(self) -> None:
        """Give every parameter memory of its own again, and no gradient; this object is of no use then."""
        for parameter in self._parameters:
            parameter.data = parameter.data.clone()
            parameter.grad = None
