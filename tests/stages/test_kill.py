"""Kill the process at several moments; the same command goes on and ends with the same tables."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

MOMENTS = (
    "encoders/*/resume.pt",
    "activations/*.h5",
    "probes/*/epoch_0000_h3.npz",
    "decoders/*/resume.pt",
    "code_lengths/*/epoch_0000_h1.npz",
    "code_lengths.h5.json",
    "samples/*.npz",
    "samples.h5.json",
)
"""Files whose first appearance tells in which stage the process is."""
IN_PARALLEL = ("encoders/*/resume.pt", "decoders/*/resume.pt", "code_lengths/*/epoch_0000_h1.npz")
"""Those at which several processes may be at work."""
WORK = ("decoders/*/resume.pt", "code_lengths/*/epoch_0000_h1.npz")
"""Those in the middle of the longest work, which is kept in pieces."""


def command(name: str, workers: int) -> list[str]:
    options = ["--name", name, "--workers", str(workers), "--fitting.steps", "60", "--training.epochs", "4"]
    return [sys.executable, "-m", "ib_analysis.cli", "samples", "tiny.yaml", *options]


def table(name: str) -> list[dict[str, str]]:
    with (Path("checkpoints") / name / "information.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in ("seconds", "experiment")} for row in csv.DictReader(file)]


def kill_when(process: subprocess.Popen, name: str, pattern: str) -> bool:
    """SIGKILL as soon as a file of the pattern is there; whether it came to that."""
    while process.poll() is None:
        if any(Path("checkpoints", name).glob(pattern)):
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.005)
    return False


@pytest.mark.parametrize(
    ("workers", "moments"),
    [
        (1, WORK),
        pytest.param(1, MOMENTS, marks=pytest.mark.slow),
        pytest.param(2, IN_PARALLEL, marks=pytest.mark.slow),
    ],
)
def test_a_killed_command_goes_on_and_ends_with_the_same_table(
    tiny: Path, workers: int, moments: tuple[str, ...]
) -> None:
    with Path("log").open("w") as log:
        assert subprocess.run(command("whole", workers), stdout=log, stderr=log).returncode == 0
        killed = 0
        for pattern in moments:
            process = subprocess.Popen(command("killed", workers), stdout=log, stderr=log)
            killed += kill_when(process, "killed", pattern)
        finished = subprocess.run(command("killed", workers), stdout=log, stderr=log)
    assert finished.returncode == 0, Path("log").read_text()
    assert killed >= len(moments) - max(1, len(moments) // 3)  # a few moments may pass between two looks
    assert table("killed") == table("whole")
    assert not list(Path("checkpoints/killed").rglob(".*.part*"))
