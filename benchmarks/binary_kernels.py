"""Speed of convolutions on packed bits against float32 convolutions of the same signs, in one run and on one thread.

    python benchmarks/binary_kernels.py [--batches 1 16] [--rounds 30] [--threads 1] [--seed 0]

Layers are those of a binary ResNet-20 on 32x32 pixels (the stem after a thermometer code of 3 x 32 thresholds, 3x3
convolutions that keep the size or halve it, the classifier at every position), the 3x3 convolutions of one four times
as wide, its 1x1 shortcut, and two dense layers. Columns, in microseconds of CPU time (median, quartiles in brackets):

- float32: `F.conv2d` with its own padding by zeros, or `F.linear`;
- packed: float32 in, int32 out: packing, padding, patches and product;
- on bits: packed in, packed out, with a threshold per channel, as in a chain of layers;
- bnn-lab: the compiled product of PyPI `bnn-lab` 1.0.0 alone, of patches that were made and packed before, where it can
  be imported (its requirements exclude current numpy and torch; `pip install --no-deps bnn-lab==1.0.0` ignores them).

Ratios are those of medians, and of minima, which tell more where other work runs beside. Contenders take turns within
each round, in an order drawn anew. Where there is a GPU with Triton, a second table times it: `packed_triton`, packing
included, against convolutions in float32 and float16, in microseconds until the GPU is done. All results are compared
with one another before anything is timed.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ib_analysis.binary.packed_convolution import Geometry
from ib_analysis.binary.packed_layers import PackedConv2d, PackedLinear
from ib_analysis.binary.packed_means import is_compiled
from ib_analysis.binary.packed_thresholds import Thresholds
from ib_analysis.binary.packing import PackedSigns, weight_words

Contender = Callable[[], object]


@dataclass(frozen=True)
class Layer:
    """A layer to be timed.

    Arguments:
        network: where it stands.
        inputs, outputs: channels.
        size: height and width of its input; 0: a dense layer.
        kernel: height and width.
        stride: down and across.
    """

    network: str
    inputs: int
    outputs: int
    size: int
    kernel: int
    stride: int = 1

    def __str__(self) -> str:
        if not self.size:
            return f"{self.network}: dense {self.inputs}>{self.outputs}"
        halves = f" by {self.stride}" if self.stride > 1 else ""
        form = f"{self.kernel}x{self.kernel}{halves}"
        return f"{self.network}: {form}, {self.inputs}>{self.outputs}, {self.size}x{self.size}"

    def tensors(self, batch: int) -> tuple[Tensor, Tensor]:
        """Input and weights, of signs."""
        if not self.size:
            return signs(batch, self.inputs), signs(self.outputs, self.inputs)
        x = signs(batch, self.inputs, self.size, self.size)
        return x, signs(self.outputs, self.inputs, self.kernel, self.kernel)


LAYERS = (
    Layer("ResNet-20", 96, 16, 32, 3),
    *(Layer("ResNet-20", width, 2 * width, size, 3, stride=2) for width, size in ((16, 32), (32, 16))),
    Layer("ResNet-20", 64, 10, 8, 1),
    *(Layer("ResNet-20", width, width, size, 3) for width, size in ((16, 32), (32, 16), (64, 8))),
    *(Layer("four times", width, width, size, 3) for width, size in ((64, 32), (128, 16), (256, 8))),
    Layer("four times", 128, 256, 8, 1),
    Layer("other", 1024, 1024, 0, 1),
    Layer("other", 4096, 4096, 0, 1),
)


@dataclass(frozen=True)
class Timing:
    """CPU seconds of the rounds of one contender."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        low, middle, high = (1e6 * float(value) for value in np.quantile(self.seconds, (0.25, 0.5, 0.75)))
        return f"{middle:.0f} [{low:.0f} {high:.0f}]"


def signs(*shape: int) -> Tensor:
    return torch.randint(2, shape).float() * 2 - 1


def contenders(layer: Layer, batch: int, threads: int) -> dict[str, Contender]:
    """What is timed, by name; all give the same products, which is checked.

    Raises:
        AssertionError: they do not.
    """
    thresholds = Thresholds(np.zeros(layer.outputs, dtype=np.int32), np.zeros(layer.outputs, dtype=bool))
    x, weight = layer.tensors(batch)
    if layer.size:
        padding, stride = layer.kernel // 2, layer.stride
        products = PackedConv2d(weight, stride, padding, threads=threads)
        to_signs = PackedConv2d(weight, stride, padding, thresholds=thresholds, threads=threads)
        padded = F.pad(x, (padding,) * 4, value=1.0)
        expected = F.conv2d(padded, weight, stride=stride)
        patches = F.unfold(padded, layer.kernel, stride=stride).transpose(1, 2).reshape(-1, weight[0].numel())
        shape = (batch, *expected.shape[2:], layer.outputs)
        found: dict[str, Contender] = {"float32": lambda: F.conv2d(x, weight, stride=stride, padding=padding)}
    else:
        products = PackedLinear(weight, threads=threads)
        to_signs = PackedLinear(weight, thresholds, threads=threads)
        expected, patches, shape = F.linear(x, weight), x, (batch, layer.outputs)
        found = {"float32": lambda: F.linear(x, weight)}
    packed = PackedSigns.of(x)
    assert torch.equal(products(x).float(), expected)
    assert torch.equal(to_signs(packed).unpack() > 0, expected >= 0)
    found |= {"packed": lambda: products(x), "on bits": lambda: to_signs(packed)}
    peer = bnn_lab()
    if peer is not None:
        peer.set_num_threads(threads)
        columns, n = peer.pack_binary_pm1(patches.numpy())
        rows, _ = peer.pack_binary_pm1(weight.flatten(1).numpy())
        theirs = torch.from_numpy(peer.binary_gemm_native_prepacked(columns, rows, n)).reshape(shape)
        assert torch.equal(theirs.movedim(-1, 1), expected)
        found["bnn-lab"] = lambda: peer.binary_gemm_native_prepacked(columns, rows, n)
    return found


def gpu_contenders(layer: Layer, batch: int, device: torch.device) -> dict[str, Contender]:
    """What is timed of a convolution on a GPU, by name; each returns when its device has finished.

    Raises:
        AssertionError: products differ.
    """
    from ib_analysis.binary import packed_triton  # Triton is not installed everywhere

    x, weight = (one.to(device) for one in layer.tensors(batch))
    stride, padding = layer.stride, layer.kernel // 2
    geometry = Geometry(layer.inputs, (layer.kernel,) * 2, (stride,) * 2, (padding,) * 2)
    words = weight_words(weight.cpu().numpy() > 0, geometry.layout).view(np.int64)
    rows, half, half_weight = torch.from_numpy(words).to(device), x.half(), weight.half()
    expected = F.conv2d(F.pad(x, (padding,) * 4, value=1.0), weight, stride=stride)
    assert torch.equal(packed_triton.convolve(x, rows, geometry).float(), expected)

    def finished(compute: Contender) -> Contender:
        def until_done() -> None:
            compute()
            if device.type == "cuda":
                torch.cuda.synchronize(device)

        return until_done

    return {
        "float32": finished(lambda: F.conv2d(x, weight, stride=stride, padding=padding)),
        "float16": finished(lambda: F.conv2d(half, half_weight, stride=stride, padding=padding)),
        "packed": finished(lambda: packed_triton.convolve(x, rows, geometry)),
    }


def gpu_lines(
    layers: Sequence[Layer], batches: Sequence[int], rounds: int, seed: int, device: torch.device
) -> Iterator[str]:
    """The table of a GPU, line by line as it is measured; dense layers have no kernel there."""
    order, form = random.Random(seed), "{:34} {:>5} {:>20} {:>20} {:>20}   {:>12} {:>12}"
    yield form.format("layer", "batch", "float32", "float16", "packed", "f32/packed", "f16/packed")
    for layer in layers:
        for batch in batches if layer.size else ():
            found = timed(gpu_contenders(layer, batch, device), rounds, order, time.perf_counter)
            ratios = [ratio(found[name], found["packed"]) for name in ("float32", "float16")]
            yield form.format(str(layer), batch, *map(str, found.values()), *ratios)


def bnn_lab() -> object | None:
    """The peer's module; None without it or its compiled product."""
    try:
        peer = importlib.import_module("bnn.kernels.packed")
    except ImportError:
        return None
    return peer if peer._try_load_native() is not None else None


def timed(
    found: dict[str, Contender], rounds: int, order: random.Random, clock: Callable[[], float]
) -> dict[str, Timing]:
    """Each contender once per round, after two rounds that do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(rounds + 2):
        for name in order.sample(list(found), len(found)):
            start = clock()
            found[name]()
            seconds[name].append(clock() - start)
    return {name: Timing(tuple(values[2:])) for name, values in seconds.items()}


def ratio(of: Timing, over: Timing) -> str:
    """How many times faster the second one is: by medians, and by minima.

    >>> ratio(Timing((4.0, 6.0, 6.0)), Timing((1.0, 2.0, 3.0)))
    '3.0 (4.0)'
    """
    return f"{of.median / over.median:.1f} ({min(of.seconds) / min(over.seconds):.1f})"


def lines(layers: Sequence[Layer], batches: Sequence[int], rounds: int, threads: int, seed: int) -> Iterator[str]:
    """The table, line by line as it is measured."""
    # With one thread, time that other processes take does not count; with several, work is in other threads.
    clock = time.thread_time if threads == 1 else time.perf_counter
    order = random.Random(seed)
    form = "{:34} {:>5} {:>20} {:>20} {:>20} {:>20}   {:>12} {:>12} {:>12}"
    names = ("float32", "packed", "on bits", "bnn-lab")
    yield form.format("layer", "batch", *names, "f32/packed", "f32/bits", "bnn/packed")
    for layer in layers:
        for batch in batches:
            found = timed(contenders(layer, batch, threads), rounds, order, clock)
            pairs = (("float32", "packed"), ("float32", "on bits"), ("bnn-lab", "packed"))
            ratios = [ratio(found[a], found[b]) if a in found else "-" for a, b in pairs]
            yield form.format(str(layer), batch, *(str(found.get(name, "-")) for name in names), *ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    means = "numpy (numba is not installed)"
    if is_compiled():
        from ib_analysis.binary.packed_lanes import LANES

        means = f"compiled, vectors of {LANES} words"
    print(f"{means}; {options.threads} threads; torch {torch.__version__}, {platform.machine()}", end="")
    print(f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "", end="\n\n")
    for line in lines(LAYERS, options.batches, options.rounds, options.threads, options.seed):
        print(line, flush=True)
    if torch.cuda.is_available() and importlib.util.find_spec("triton") is not None:
        print(f"\n{torch.cuda.get_device_name()}")
        for line in gpu_lines(LAYERS, options.batches, options.rounds, options.seed, torch.device("cuda")):
            print(line, flush=True)


if __name__ == "__main__":
    main()
