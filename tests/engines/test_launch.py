"""Several processes launched together train and fit with shared minibatches."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

ON_THE_CPU = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}


def code_lengths(name: str) -> list[float]:
    with (Path("checkpoints") / name / "information.csv").open() as file:
        return [float(row["code_length_bits"]) for row in csv.DictReader(file)]


@pytest.mark.slow
def test_two_processes_do_the_work_of_one(tiny: Path) -> None:
    arguments = ["-m", "ib_analysis.cli", "estimate-mi", "tiny.yaml", "--name"]
    one = subprocess.run([sys.executable, *arguments, "one"], capture_output=True, text=True, env=ON_THE_CPU)
    assert one.returncode == 0, one.stderr
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    two = subprocess.run([*launcher, *arguments, "two"], capture_output=True, text=True, env=ON_THE_CPU)
    assert two.returncode == 0, two.stderr
    # Batch normalisation sees half a minibatch in each process, so that the encoders differ from epoch 1 on; the
    # untrained ones, and all that is fitted to them, are the same up to the order of sums.
    first, second = code_lengths("one"), code_lengths("two")
    assert len(first) == len(second) == 12
    assert second == pytest.approx(first, rel=0.05)
