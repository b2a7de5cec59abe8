"""By what means products of packed signs are computed: compiled kernels where numba is installed, else numpy.

`pip install '.[binary]'` installs numba, which brings its compiler with it. Without it results are the same, but slower
than those of float products, which a warning says once.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import itertools
import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["comparable", "is_compiled", "kernels", "share"]


def is_compiled() -> bool:
    """Whether numba is installed."""
    return importlib.util.find_spec("numba") is not None


@functools.cache
def kernels() -> ModuleType | None:
    """`packed_kernels`; None, with a warning, where numba is not installed."""
    if is_compiled():
        return importlib.import_module("ib_analysis.binary.packed_kernels")  # here, since numba is an optional extra
    warnings.warn(
        "numba is not installed, so products of packed signs are computed by numpy, which is slower than float "
        "arithmetic; pip install '.[binary]' installs it.",
        stacklevel=3,
    )
    return None


def comparable(x: Tensor) -> tuple[np.ndarray, int]:
    """Values of a tensor, flat, in a type that the kernels read, and from which value on the sign is +1.

    >>> comparable(torch.tensor([True, False]))
    (array([1, 0], dtype=uint8), 1)
    """
    if x.dtype not in (torch.float32, torch.int32, torch.bool):
        x = x >= 0
    values = x.detach().cpu().contiguous().numpy().reshape(-1)
    return (values.view(np.uint8), 1) if values.dtype == bool else (values, 0)


def share(function: Callable[..., None], units: int, threads: int | None, *arguments: Any) -> None:
    """function(*arguments, start, stop) over all units, in so many threads.

    Arguments:
        function: releases the interpreter's lock.
        threads: None: as many as torch has.
    """
    threads = min(units, torch.get_num_threads() if threads is None else threads)
    if threads <= 1:
        function(*arguments, 0, units)
        return
    pool = _pool()
    bounds = [units * part // threads for part in range(threads + 1)]
    parts = [pool.submit(function, *arguments, start, stop) for start, stop in itertools.pairwise(bounds)]
    for part in parts:
        part.result()


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="packed")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork
