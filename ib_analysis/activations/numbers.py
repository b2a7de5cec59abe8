"""The numbers that activations are kept in: float16 as it is, mapped channel by channel into it, or float32."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ib_analysis.artifacts import UserError

__all__ = ["FLOAT16_MAX", "LARGEST_WHOLE", "Numbers", "differences", "to_float16"]

FLOAT16_MAX = 65504.0
FLOAT32_LARGEST = 2.0**62
"""Where float32 activations are cut off: their squares are still finite."""


NOT_NUMBERS = "The encoder's activations are not numbers; its training diverged: lower learning_rate."
LARGEST_WHOLE = 2.0**63 - 1024
"""The largest float64 that a 64-bit integer can be."""


def differences(values: Tensor, others: Tensor) -> Tensor:
    """values - others in float64, rounded once: integers beyond 2^53 are subtracted as integers.

    Arguments:
        values: any real dtype.
        others: float64, of a shape that fits.

    >>> differences(torch.tensor([2**60 + 1]), torch.tensor([2.0**60])).tolist()
    [1.0]
    """
    rough = values.double() - others
    if values.dtype != torch.int64:
        return rough
    whole = others.floor().clamp(-(2.0**63), LARGEST_WHOLE)
    exact = (values - whole.long()).double() - (others - whole)
    return torch.where(rough.abs() < 2.0**62, exact, rough)  # what is wider may overflow


def to_float16(activations: Tensor) -> tuple[Tensor, int]:
    """Cast to float16, with values beyond its range set to the largest finite one.

    Arguments:
        activations: any shape; any float or integer dtype, or bool.

    Returns:
        The float16 tensor, and how many values lay beyond +-65504.

    Raises:
        UserError: a value is not a number.

    >>> to_float16(torch.tensor([1.0, -1e6]))
    (tensor([ 1.0000e+00, -6.5504e+04], dtype=torch.float16), 1)
    """
    values = activations if activations.is_floating_point() else activations.double()
    largest = float(values.abs().max()) if values.numel() else 0.0
    if math.isnan(largest):
        raise UserError(NOT_NUMBERS)
    if largest <= FLOAT16_MAX:
        return values.half(), 0
    beyond = int((values.abs() > FLOAT16_MAX).sum())
    return values.clamp(-FLOAT16_MAX, FLOAT16_MAX).half(), beyond


@dataclass(frozen=True)
class Numbers:
    """How one layer's activations at one epoch become the numbers that are kept and handed on.

    What decoders and probes get are these numbers themselves, (h - offset) / scale: a map that can be undone takes no
    information away, and they standardise every channel anyway.

    Arguments:
        dtype: of the numbers.
        offset, scale: of each channel, (C,); scales are powers of two and offsets multiples of them, so that the map
            itself rounds next to nothing. Empty: activations are kept as they are.
        loses: whether even so more is lost than `Losses` allows.

    >>> numbers = Numbers("float16", (100.0,), (2.0**-7,))
    >>> kept, n_beyond = numbers.encode(torch.tensor([[100.01], [99.99]]))
    >>> kept.flatten().tolist(), numbers.decode(kept).flatten().tolist()
    ([1.2802734375, -1.2802734375], [100.01000213623047, 99.98999786376953])
    """

    dtype: Literal["float16", "float32"] = "float16"
    offset: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    loses: bool = False

    @property
    def bits(self) -> int:
        """Bits of each number."""
        return 16 if self.dtype == "float16" else 32

    @property
    def torch_dtype(self) -> torch.dtype:
        return torch.float16 if self.dtype == "float16" else torch.float32

    def encode(self, activations: Tensor) -> tuple[Tensor, int]:
        """Activations to the numbers that are kept.

        Arguments:
            activations: shape (n, C, ...), any real dtype.

        Returns:
            The numbers, and how many values lay beyond their range and were set to its end.

        Raises:
            UserError: a value is not a number.
        """
        if self.scale:
            offset, scale = self._map(activations)
            activations = differences(activations, offset) / scale
        if self.dtype == "float16":
            return to_float16(activations)
        if bool(activations.isnan().any()):
            return to_float16(activations)  # says what is wrong
        values = activations.double()
        beyond = int((values.abs() > FLOAT32_LARGEST).sum())
        return values.clamp(-FLOAT32_LARGEST, FLOAT32_LARGEST).float(), beyond

    def decode(self, kept: Tensor) -> Tensor:
        """The activations again, float64, up to rounding."""
        if not self.scale:
            return kept.double()
        offset, scale = self._map(kept)
        return kept.double() * scale + offset

    def errors(self, kept: Tensor, activations: Tensor) -> Tensor:
        """How far activations, (n, C, ...), lie from what was kept of them: float64, of integers without rounding."""
        if activations.dtype != torch.int64:
            return self.decode(kept) - activations.double()
        offset, scale = self._map(kept) if self.scale else (torch.zeros((), dtype=torch.float64), 1.0)
        # Offsets of whole numbers are whole (see `survey`).
        return -differences(activations - offset.long(), kept.double() * scale)

    def _map(self, like: Tensor) -> tuple[Tensor, Tensor]:
        shape = (-1,) + (1,) * (like.ndim - 2)
        offset, scale = (
            torch.tensor(values, dtype=torch.float64, device=like.device).view(shape)
            for values in (self.offset, self.scale)
        )
        return offset, scale

    @staticmethod
    def of(attributes: Mapping[str, Any]) -> Numbers:
        """What a dataset's attributes tell; those of older dumps, which have none of these, tell plain float16."""
        if "numbers" not in attributes:
            return Numbers()
        offset, scale = (tuple(map(float, attributes.get(name, ()))) for name in ("offset", "scale"))
        return Numbers(attributes["numbers"], offset, scale, bool(attributes["loses"]))

    @property
    def attributes(self) -> dict[str, Any]:
        """What is kept beside the dataset: nothing for plain float16 that loses nothing."""
        if self == Numbers():
            return {}
        found: dict[str, Any] = {"numbers": self.dtype, "loses": self.loses}
        return {**found, "offset": np.array(self.offset), "scale": np.array(self.scale)} if self.scale else found

    @property
    def identity(self) -> list[Any]:
        """What the meaning of the numbers depends on, for a hash; nothing for those kept as they are."""
        return [list(self.offset), list(self.scale)] if self.scale else []

    def warn(self, layer: str, epoch: int, n_beyond: int) -> None:
        """Say what is lost, as a Python warning."""
        what = f"Activations of {layer} at epoch {epoch}"
        if n_beyond:
            largest = "+-65504" if self.dtype == "float16" else "+-2^62"
            range_ = f"the range of {self.dtype}{' as scaled for them' if self.scale else ''}"
            warnings.warn(
                f"{what} exceed {range_} and are set to {largest} ({n_beyond:,} values of the first images with such): "
                "what lies beyond is lost to every decoder.",
                stacklevel=5,
            )
        if self.loses:
            warnings.warn(
                f"{what} lose precision as they are kept in {self.dtype} (warning activations_lose_precision), and "
                "with it information that decoders can no longer find.",
                stacklevel=5,
            )
