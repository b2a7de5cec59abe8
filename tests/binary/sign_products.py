"""Both means by which products of packed signs are computed, for tests of all that rests on them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ib_analysis.binary import packed_means

MEANS = [
    pytest.param("compiled", marks=pytest.mark.skipif(not packed_means.is_compiled(), reason="needs numba")),
    "numpy",
]


def use(means: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if means == "numpy":
        monkeypatch.setattr(packed_means, "kernels", lambda: None)


def signs(*shape: int, seed: int) -> Tensor:
    """-1 and +1, float32; never the 0 that the sign of a random number may be."""
    return torch.randint(2, shape, generator=torch.Generator().manual_seed(seed)).float() * 2 - 1
