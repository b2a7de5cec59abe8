"""What the Makefile refuses, and what it passes on; with a stand-in for the environment's Python."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parent.parent / "Makefile"


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--no-print-directory", "-f", str(MAKEFILE), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two experiments, two benchmarks, and an environment whose Python prints its arguments."""
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "ran $*"\n')
    python.chmod(0o755)
    (tmp_path / ".venv" / ".installed").touch()
    for folder in ("checkpoints", "figures"):
        for name in ("one", "two"):
            (tmp_path / folder / name).mkdir(parents=True)
    (tmp_path / "benchmarks").mkdir()
    for name in ("sampler", "decoder_training"):
        (tmp_path / "benchmarks" / f"{name}.py").touch()
    return tmp_path


def left(project: Path) -> list[str]:
    return sorted(
        str(path.relative_to(project)) for pattern in ("checkpoints/*", "figures/*") for path in project.glob(pattern)
    )


def test_clean_removes_one_experiment(project: Path) -> None:
    assert make(project, "clean", "EXPERIMENT=one").returncode == 0
    assert left(project) == ["checkpoints/two", "figures/two"]


@pytest.mark.parametrize("name", ["", " ", "/", "one/", "..", "../figures", "one/../two", ".", "one..two", "a\\b"])
def test_clean_refuses_what_is_not_one_name(project: Path, name: str) -> None:
    found = make(project, "clean", f"EXPERIMENT={name}")
    assert found.returncode == 2
    assert "make clean needs the name of one experiment" in found.stderr
    assert left(project) == ["checkpoints/one", "checkpoints/two", "figures/one", "figures/two"]


def test_a_name_is_never_run_by_the_shell(project: Path) -> None:
    make(project, "clean", 'EXPERIMENT=x"; touch made; "')
    make(project, "clean", "EXPERIMENT=$$(touch made)")
    assert not (project / "made").exists()
    assert len(left(project)) == 4


def test_bench_runs_every_script_without_options(project: Path) -> None:
    found = make(project, "bench")
    assert found.returncode == 0
    lines = [line for line in found.stdout.splitlines() if line.startswith("ran")]
    assert lines == ["ran benchmarks/decoder_training.py", "ran benchmarks/sampler.py"]


def test_options_go_to_one_benchmark(project: Path) -> None:
    found = make(project, "bench", "BENCH=sampler", "ARGS=--size 16 --output categorical")
    assert found.returncode == 0
    lines = [line for line in found.stdout.splitlines() if line.startswith("ran")]
    assert lines == ["ran benchmarks/sampler.py --size 16 --output categorical"]


def test_options_for_no_benchmark_in_particular_are_refused(project: Path) -> None:
    found = make(project, "bench", "ARGS=--size 16")
    assert found.returncode == 2
    assert "ARGS are for one benchmark" in found.stderr
    assert "ran" not in found.stdout


def test_an_unknown_benchmark_is_refused(project: Path) -> None:
    found = make(project, "bench", "BENCH=smapler")
    assert found.returncode == 2
    assert "There is no benchmark smapler; BENCH is one of: decoder_training sampler" in found.stderr


def test_base_is_a_front_of_ib_and_help_tells_of_it(project: Path) -> None:
    ib = project / ".venv" / "bin" / "ib"
    ib.write_text('#!/bin/sh\necho "ran $*"\n')
    ib.chmod(0o755)
    found = make(project, "base", "EXPERIMENT=digits", "ARGS=--base scratch")
    assert found.stdout.splitlines() == ["ran base digits --base scratch"]
    assert "make base " in make(project, "help").stdout
