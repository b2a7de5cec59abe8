"""The benchmark of products of packed signs: contenders agree, take turns, and are told of as they are."""

from __future__ import annotations

import importlib
import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

PATH = Path(__file__).parents[2] / "benchmarks" / "binary_kernels.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("binary_kernels_benchmark", PATH)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found  # where dataclasses look up the names of their annotations
    spec.loader.exec_module(found)
    return found


bench = _load()


def test_contenders_take_turns_and_the_first_two_rounds_do_not_count() -> None:
    now, called = 0.0, list[str]()

    def work(name: str, seconds: float) -> None:
        nonlocal now
        now += seconds * (10 if called.count(name) < 2 else 1)
        called.append(name)

    found = {"slow": lambda: work("slow", 4.0), "fast": lambda: work("fast", 1.0)}
    timings = bench.timed(found, rounds=5, order=random.Random(0), clock=lambda: now)
    assert timings["slow"].seconds == (4.0,) * 5
    assert timings["fast"].seconds == (1.0,) * 5
    pairs = [tuple(called[at : at + 2]) for at in range(0, 14, 2)]
    assert {frozenset(pair) for pair in pairs} == {frozenset(found)}
    assert len(set(pairs)) == 2  # both orders occur
    assert bench.ratio(timings["slow"], timings["fast"]) == "4.0 (4.0)"


@pytest.mark.parametrize("layer", [bench.Layer("tiny", 5, 3, 4, 3), bench.Layer("tiny", 70, 9, 0, 1),
        bench.Layer("tiny", 4, 3, 6, 3, stride=2)])  # fmt: skip
def test_a_line_per_layer_and_batch(layer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "bnn_lab", lambda: None)
    table = list(bench.lines([layer], [1, 2], rounds=2, threads=1, seed=0))
    assert len(table) == 3
    for line, batch in zip(table[1:], (1, 2), strict=True):
        assert line.startswith(str(layer))
        assert line[len(str(layer)) :].split()[0] == str(batch)
        assert line.split()[-1] == "-"  # no ratio to a peer that is not there


def test_every_kind_of_layer_of_a_binary_resnet_20_is_among_them() -> None:
    kinds = {(one.inputs, one.outputs, one.size, one.kernel, one.stride) for one in bench.LAYERS}
    assert kinds >= {(96, 16, 32, 3, 1), (16, 32, 32, 3, 2), (32, 64, 16, 3, 2), (64, 64, 8, 3, 1), (64, 10, 8, 1, 1)}


def test_a_line_per_convolution_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """In Triton's interpreter, which stands for the GPU."""
    pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    name = "ib_analysis.binary.packed_triton"
    sys.modules.pop(name, None)
    importlib.import_module(name)  # the package would else still hold what an earlier test imported
    layers = [bench.Layer("tiny", 5, 3, 4, 3, stride=2), bench.Layer("tiny", 70, 9, 0, 1)]
    table = list(bench.gpu_lines(layers, [2], rounds=1, seed=0, device=torch.device("cpu")))
    sys.modules.pop(name)
    assert len(table) == 2
    assert table[1].startswith(f"{layers[0]}")
    assert [word in table[0] for word in ("float32", "float16", "f16/packed")] == [True] * 3


def test_contenders_that_disagree_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "bnn_lab", lambda: None)
    monkeypatch.setattr(bench.F, "linear", lambda x, weight: x @ weight.T + 1)
    with pytest.raises(AssertionError):
        bench.contenders(bench.Layer("tiny", 8, 3, 0, 1), 2, threads=1)
