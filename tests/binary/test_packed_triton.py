"""The Triton kernel in Triton's interpreter, against float convolutions."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sign_products import signs

from ib_analysis.binary.packed_convolution import Geometry
from ib_analysis.binary.packing import PackedSigns, weight_words

triton = pytest.importorskip("triton")


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module, interpreted: which way it runs is chosen where its functions are defined."""
    name = "ib_analysis.binary.packed_triton"
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    sys.modules.pop(name, None)
    yield importlib.import_module(name)
    sys.modules.pop(name)


@pytest.mark.parametrize("padding_sign", [-1, 1])
@pytest.mark.parametrize(
    ("channels", "outputs", "size", "stride", "padding"), [(3, 40, 7, 1, 1), (64, 33, 5, 2, 1), (70, 5, 4, 1, 0)]
)
def test_a_convolution_is_that_of_the_padded_signs(
    kernel: ModuleType, channels: int, outputs: int, size: int, stride: int, padding: int, padding_sign: int
) -> None:
    x, weight = signs(2, channels, size, size, seed=0), signs(outputs, channels, 3, 3, seed=1)
    expected = F.conv2d(F.pad(x, (padding,) * 4, value=padding_sign), weight, stride=stride)
    geometry = Geometry(channels, (3, 3), (stride, stride), (padding, padding), padding_sign)
    rows = torch.from_numpy(weight_words(weight.numpy() > 0, geometry.layout).view(np.int64))
    found = kernel.convolve(x, rows, geometry)
    assert found.dtype == torch.int32
    assert torch.equal(found.float(), expected)


def test_planes_are_those_of_packed_signs(kernel: ModuleType) -> None:
    x = torch.randn(2, 130, 3, 2, generator=torch.Generator().manual_seed(0))
    x[0, 63] = -0.0
    for given in (x, x > 0):
        assert np.array_equal(kernel.pack_planes(given).numpy().view(np.uint64), PackedSigns.of(given).words)


def test_all_bits_are_counted(kernel: ModuleType) -> None:
    rows = torch.tensor([[0, 0], [-1, -1], [-(2**63), 1], [2**63 - 1, 0x5A5A5A5A5A5A5A5A]])
    columns = torch.tensor([[0, -1], [0, -1]])
    differing = [[0, 128], [128, 0], [2, 126], [63 + 32, 128 - 95]]
    assert kernel.products(rows, columns, 128).tolist() == [[128 - 2 * count for count in row] for row in differing]


def test_the_kernel_compiles_for_a_gpu() -> None:
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    module = importlib.import_module("ib_analysis.binary.packed_triton")
    types = dict.fromkeys(("n_rows", "n_columns", "n"), "i32")
    constants = {"n_words": 9, "block": 32}
    signature = {"rows": "*i64", "columns": "*i64", "out": "*i32", **types, **dict.fromkeys(constants, "constexpr")}
    source = ASTSource(module._products, signature=signature, constexprs=constants)
    assembly = triton.compile(source, target=GPUTarget("cuda", 80, 32)).asm["ptx"]
    assert "_products" in assembly
    if tuple(int(part) for part in triton.__version__.split(".")[:2]) >= (3, 9):
        assert "popc" in assembly
