"""What precision a device multiplies in: full float32 where it is asked for, bfloat16 where instructions exist."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch

__all__ = ["cpu_multiplies_bfloat16", "full_precision"]

T = TypeVar("T")


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Multiply float32 numbers as float32 inside the block; also a decorator.

    By default cuDNN's convolutions round the factors to TF32, which has 10 bits of mantissa, so that results would
    depend on the GPU. Without a GPU nothing changes.

    >>> with full_precision():
    ...     torch.backends.cudnn.conv.fp32_precision
    'ieee'
    """
    before = [setting.fp32_precision for setting in _settings()]
    older = (_readable(lambda: torch.backends.cudnn.allow_tf32), _readable(torch.get_float32_matmul_precision))
    try:
        _set(("ieee", "ieee", "ieee"), False, "highest")
        yield
    finally:
        _set(before, *older)


def cpu_multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for products of bfloat16 numbers (AVX512-BF16, AMX or ARM's).

    Elsewhere they are emulated, and bfloat16 is several times slower than float32.
    """
    found = getattr(torch.cpu, "get_capabilities", None)
    if found is None:  # an older torch
        return bool(torch.cpu._is_avx512_bf16_supported())
    return any(found().get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def _settings() -> tuple[Any, Any, Any]:
    """What has a precision of its own: convolutions, recurrent layers, matrix products."""
    cudnn: Any = torch.backends.cudnn  # its stubs do not know these attributes
    return cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul


def _set(values: Sequence[str], convolutions: bool | None, products: str | None) -> None:
    """Set torch's older switches, then the newer ones: products fail on a GPU while the two disagree."""
    if convolutions is not None:
        torch.backends.cudnn.allow_tf32 = convolutions
    if products is not None:
        torch.set_float32_matmul_precision(products)
    for setting, value in zip(_settings(), values, strict=True):
        setting.fp32_precision = value


def _readable(read: Callable[[], T]) -> T | None:
    """An older switch; None where it cannot be read because only newer ones were used."""
    try:
        return read()
    except RuntimeError:
        return None
