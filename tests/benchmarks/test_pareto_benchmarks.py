"""The benchmarks of exact Pareto optimal search: that they run, and tell methods apart."""

from __future__ import annotations

import csv
import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ib_analysis.pareto import angle_degrees

pytest.importorskip("pymoo")


def _load(name: str) -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{name}_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found  # where dataclasses look up the names of their annotations
    spec.loader.exec_module(found)
    return found


def test_the_wells_tell_methods_apart(capsys: pytest.CaptureFixture[str]) -> None:
    bench = _load("pareto")
    outcomes, _ = bench.main(
        ["--variables", "3", "--seeds", "1", "--steps", "50", "--depth", "8", "--width", "2", "--batch", "4",
         "--repeats", "1"]
    )  # fmt: skip
    ours, search, sums = (outcomes[name] for name in ("EPO, linear (ours)", "search (ours)", "linear scalarization"))
    assert len(ours.angles) == 4
    assert max(ours.distances) < 1e-2
    assert max(search.distances) < 1e-4
    assert max(search.gradients) <= 10
    assert min(sums.distances) > 0.1
    assert all(math.isinf(count) for count in sums.gradients)
    told = capsys.readouterr().out
    assert "not run here" in told
    assert "libmoon" in told
    assert "training step of the task joint" in told


def test_two_digits_on_an_image_are_the_tasks() -> None:
    bench = _load("pareto_digits")
    digits = np.zeros((2, 8, 8))
    digits[1] = 16
    pairs = bench.Pairs(digits, np.array([0, 1]), 20, np.random.default_rng(0))
    assert pairs.images.shape == (20, 1, 24, 24)
    assert (pairs.images[:, 0, 0, 0] == pairs.labels[:, 0]).all()
    assert (pairs.images[:, 0, -1, -1] == pairs.labels[:, 1]).all()
    assert (pairs.images[:, 0, 12, 12] == pairs.labels.amax(1)).all()  # where they overlap
    assert (pairs.images[:, 0, 0, -1] == 0).all()


def test_a_row_per_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = _load("pareto_digits")
    path = tmp_path / "rows.csv"
    rows = bench.main(["--preferences", "2", "--epochs", "1", "--pairs", "192", "--csv", str(path)])
    assert [(row.method, row.preference) for row in rows] == [
        ("EPO", 0), ("linear", 0), ("EPO", 1), ("linear", 1),
    ]  # fmt: skip
    for row in rows:
        losses = [row.train_loss_1, row.train_loss_2]
        assert row.train_angle == pytest.approx(angle_degrees(losses, [row.r1, row.r2]))
        assert 0 <= row.accuracy_1 <= 1
    assert len(list(csv.DictReader(path.open()))) == 4
    assert "hypervolume of the test losses" in capsys.readouterr().out
    assert bench.main(["--draw", str(path)]) == rows
    drawn = path.with_suffix(".svg").read_text()
    assert all(f'id="{name}"' in drawn for name in ("EPO", "linear", "ray"))
