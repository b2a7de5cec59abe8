"""Compiled convolutions read nothing beyond their planes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from ib_analysis.binary import packed_convolution, packed_means
from ib_analysis.binary.packed_convolution import Geometry

compiled = pytest.mark.skipif(not packed_means.is_compiled(), reason="needs numba")


@compiled
@pytest.mark.parametrize("shape", [(1, 16, 1, 8), (1, 16, 3, 8), (3, 16, 5, 24), (2, 16, 16, 16)])
@pytest.mark.parametrize("kernel", [1, 3])
def test_every_vector_of_a_panel_lies_in_the_planes(shape: tuple[int, int, int, int], kernel: int) -> None:
    from ib_analysis.binary import packed_kernels, packed_lanes

    geometry = Geometry(shape[1], (kernel, kernel), padding=(kernel // 2, kernel // 2))
    batch, plan = packed_convolution._planned(torch.ones(shape), geometry)
    n_columns, end = batch * plan.output[0] * plan.output[1], batch * plan.shape[0]
    origins, targets = (np.zeros(packed_kernels.PANEL, np.int32) for _ in range(2))
    for index in range(packed_convolution._panels(batch, plan, packed_kernels)):
        first = index * packed_kernels.PANEL
        packed_kernels._place_columns(
            first, n_columns, 1, plan.shape, plan.output[0] * plan.output[1], origins, targets
        )
        last_word = origins[:: packed_lanes.LANES].max() + plan.places[:, 1].max() + packed_lanes.LANES - 1
        assert last_word < end, f"panel {index} reads {last_word - end + 1} words beyond its planes"


# Planes that end where a process may read no further. It is one of its own, which a read beyond ends with SIGSEGV.
GUARDED = """
import ctypes, mmap
import numpy as np, torch
import torch.nn.functional as F
from ib_analysis.binary import packed_convolution
from ib_analysis.binary.packed_thresholds import Thresholds
from ib_analysis.binary.packing import PackedSigns, weight_words

libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
page, kept = mmap.PAGESIZE, []

def guarded(words):
    size = -(-words.nbytes // page) * page
    memory = mmap.mmap(-1, size + page)
    kept.append(memory)
    whole = np.frombuffer(memory, dtype=np.uint8)
    assert libc.mprotect(whole.ctypes.data + size, page, 0) == 0
    found = whole[size - words.nbytes : size].view(np.uint64)
    found[:] = words.reshape(-1)
    return found

padded = packed_convolution._padded
packed_convolution._padded = lambda *arguments: guarded(padded(*arguments))
generator = torch.Generator().manual_seed(0)

def signs(*shape):
    return torch.randint(2, shape, generator=generator).float() * 2 - 1

for batch, channels, height, width, kernel in [
    (1, 16, 1, 8, 3), (1, 16, 3, 8, 3), (3, 16, 5, 24, 3), (1, 16, 1, 8, 1), (3, 70, 3, 8, 1), (2, 16, 16, 16, 3),
    (1, 16, 3, 4, 3), (1, 16, 5, 7, 3),
]:
    edge = kernel // 2
    geometry = packed_convolution.Geometry(channels, (kernel, kernel), padding=(edge, edge))
    x, weight = signs(batch, channels, height, width), signs(5, channels, kernel, kernel)
    rows = weight_words(weight.numpy() > 0, geometry.layout)
    expected = F.conv2d(F.pad(x, (edge,) * 4, value=1.0), weight)
    for given in (x, PackedSigns.of(x)):
        assert torch.equal(packed_convolution.convolve(given, rows, geometry).float(), expected)
        thresholds = Thresholds(np.zeros(5, np.int32), np.zeros(5, bool))
        found = packed_convolution.convolve_to_signs(given, rows, geometry, thresholds)
        assert torch.equal(found.unpack() > 0, expected >= 0)
print("whole", flush=True)
"""


@pytest.mark.slow
@compiled
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="protects memory as Linux does")
def test_nothing_beyond_the_planes_is_read() -> None:
    done = subprocess.run([sys.executable, "-c", GUARDED], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "whole"), done.stderr
