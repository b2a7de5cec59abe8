"""How one dataset of activations lies on disk: as floating-point numbers, or as bit-packed codes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ib_analysis.activations.codes import pack_rows, packed_bytes, unpack_rows
from ib_analysis.activations.numbers import Numbers

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout:
    """The form of one layer's activations at one epoch.

    Arguments:
        shape: of one image's activations, (C, h, w) or (C,).
        bits: of their codes, where they are whole numbers of at most 8 bits; None: they are kept as `numbers`.
        signed: whether codes can be negative.
        numbers: how activations that are no codes are kept.

    >>> layout = Layout((3,), bits=2)
    >>> layout.pack(torch.tensor([[0, 1, 3], [2, 2, 0]]).half()).tolist()
    [[28], [160]]
    """

    shape: tuple[int, ...]
    bits: int | None = None
    signed: bool = False
    numbers: Numbers = field(default_factory=Numbers)

    @staticmethod
    def of(shape: tuple[int, ...], attributes: Mapping[str, Any]) -> Layout:
        """The form that a dataset's attributes tell of."""
        if "bits" not in attributes:
            return Layout(shape, numbers=Numbers.of(attributes))
        return Layout(shape, int(attributes["bits"]), bool(attributes["signed"]))

    @property
    def attributes(self) -> dict[str, Any]:
        """What is kept beside the dataset."""
        return self.numbers.attributes if self.bits is None else {"bits": self.bits, "signed": self.signed}

    @property
    def dtype(self) -> type[np.generic]:
        """Type of the dataset."""
        if self.bits is not None:
            return np.uint8
        return np.float16 if self.numbers.dtype == "float16" else np.float32

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one image's row in the dataset."""
        return self.shape if self.bits is None else (packed_bytes(math.prod(self.shape), self.bits),)

    def pack(self, activations: Tensor) -> np.ndarray:
        """Activations as `read` gives them, (n, *shape), to rows of the dataset.

        Raises:
            ValueError: codes that are no whole numbers, or do not fit.
        """
        values = np.ascontiguousarray(activations.cpu().numpy())
        if self.bits is None:
            return values
        codes = values.astype(np.int16)
        if not np.array_equal(codes, values):
            raise ValueError("codes of activations must be whole numbers")
        return pack_rows(codes, self.bits)

    def unpack(self, rows: np.ndarray) -> Tensor:
        """Rows of the dataset to activations, (n, *shape), in their numbers; codes as whole numbers, float16."""
        if self.bits is None:
            return torch.from_numpy(rows)
        return torch.from_numpy(unpack_rows(rows, self.shape, self.bits, self.signed).astype(np.float16))
