"""Convolutions of signs with signs on a GPU: the product of packed words as a Triton kernel, the rest in torch.

Triton comes with torch where it has GPUs; nothing else of this package needs it. The kernel counts bits by adding
neighbours, which Triton's interpreter understands (TRITON_INTERPRET=1) and the compiler (3.9; 3.6 not yet) makes the
processor's own instruction of. It ran exactly on an H100; packing in torch makes it slower there than a convolution in
float16.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from ib_analysis.binary.packed_convolution import Geometry
from ib_analysis.binary.packing import WORD_BITS

__all__ = ["convolve", "pack_planes", "products"]

_BLOCK = 32
"""Rows and columns of a program's part of the product."""


@triton.jit
def _count(x):
    """Set bits of int64 words. Shifts copy the sign, which the masks take away again."""
    x = x - ((x >> 1) & 0x5555555555555555)
    x = (x & 0x3333333333333333) + ((x >> 2) & 0x3333333333333333)
    x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0F
    x = x + (x >> 8)
    x = x + (x >> 16)
    return (x + (x >> 32)) & 0x7F


@triton.jit
def _products(  # type: ignore[no-untyped-def]
    rows, columns, out, n_rows, n_columns, n, n_words: tl.constexpr, block: tl.constexpr
):
    row = tl.program_id(0) * block + tl.arange(0, block)
    column = tl.program_id(1) * block + tl.arange(0, block)
    differing = tl.full((block, block), 0, tl.int32)
    for word in range(n_words):
        a = tl.load(rows + row * n_words + word, mask=row < n_rows, other=0)
        b = tl.load(columns + word * n_columns + column, mask=column < n_columns, other=0)
        differing += _count(a[:, None] ^ b[None, :]).to(tl.int32)
    place = out + row[:, None] * n_columns + column[None, :]
    tl.store(place, n - 2 * differing, mask=(row < n_rows)[:, None] & (column < n_columns)[None, :])


def products(rows: Tensor, columns: Tensor, n: int) -> Tensor:
    """n - 2 popcount(a xor b) for every row a and every column b.

    Arguments:
        rows: int64 (the words' bits), (M, K).
        columns: int64, (K, N).
        n: signs in a row.

    Returns:
        int32, (M, N).
    """
    rows, columns = rows.contiguous(), columns.contiguous()
    found = torch.empty(len(rows), columns.shape[1], dtype=torch.int32, device=rows.device)
    grid = (triton.cdiv(len(rows), _BLOCK), triton.cdiv(columns.shape[1], _BLOCK))
    if found.numel():
        _products[grid](rows, columns, found, *found.shape, n, n_words=rows.shape[1], block=_BLOCK)
    return found


def pack_planes(x: Tensor) -> Tensor:
    """Planes as `PackedSigns` has them, on the tensor's device.

    Arguments:
        x: (B, C, h, w); numbers, of which the signs count, with +1 for 0, or bool.

    Returns:
        int64, (B, ceil(C / 64), h, w).
    """
    bits = (x if x.dtype == torch.bool else x >= 0).long()
    planes = []
    for some in bits.split(WORD_BITS, dim=1):
        shifts = torch.arange(some.shape[1], device=x.device).view(1, -1, 1, 1)
        planes.append((some << shifts).sum(1))
    return torch.stack(planes, 1)


def convolve(x: Tensor, rows: Tensor, geometry: Geometry) -> Tensor:
    """As `packed_convolution.convolve`, on the tensors' device.

    Arguments:
        x: (B, C, h, w); see `pack_planes`.
        rows: int64, (M, words): weights as `weight_words` packs them, seen as int64.

    Returns:
        int32, (B, M, oh, ow).

    Raises:
        ValueError: x is smaller than the kernel.
    """
    oh, ow = geometry.output_size(*x.shape[2:])
    (down, across), (top, left), layout = geometry.stride, geometry.padding, geometry.layout
    signs = x if x.dtype == torch.bool else x >= 0
    planes = pack_planes(F.pad(signs, (left, left, top, top), value=geometry.padding_sign > 0))
    patches = torch.zeros(layout.words, len(x), oh, ow, dtype=torch.int64, device=x.device)
    for plane, row, column, word, shift in layout.places():
        bottom, right = row + (oh - 1) * down + 1, column + (ow - 1) * across + 1
        patches[word] |= planes[:, plane, row:bottom:down, column:right:across] << shift
    found = products(rows, patches.flatten(1), layout.n)
    return found.view(-1, len(x), oh, ow).transpose(0, 1).contiguous()
