"""The wheel, unpacked into an empty folder: whatever the program needs beside its modules is in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXPERIMENTS = sorted(path.name for path in (ROOT / "experiments").glob("*.yaml"))
MADE_UP = ("made-up", "base.safetensors")
"""A base beside those that ship, which may be none."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contents of the wheel, as an installer would lay them out."""
    sources, built = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("installed")
    for name in ("ib_analysis", "decoders", "experiments"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    shipped = sources / "ib_analysis" / "bases" / "shipped"
    shipped.joinpath(*MADE_UP).parent.mkdir(parents=True)
    shipped.joinpath(*MADE_UP).write_bytes(b"weights")
    (shipped / "empty").mkdir()
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        "out",
        ".",
    ]
    subprocess.run(command, cwd=sources, check=True, capture_output=True, timeout=300)
    (wheel,) = (sources / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(built)
    return built


def ib(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the installed package's `ib` in a folder; the checkout is not on its path."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    code = "import ib_analysis, sys; from ib_analysis.cli import main; print(ib_analysis.__file__); sys.exit(main())"
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_every_experiment_ships(installed: Path) -> None:
    assert sorted(path.name for path in (installed / "ib_analysis" / "experiments").iterdir()) == EXPERIMENTS
    for name in EXPERIMENTS:
        assert (installed / "ib_analysis" / "experiments" / name).read_bytes() == (
            ROOT / "experiments" / name
        ).read_bytes()


def test_pages_find_their_templates(installed: Path) -> None:
    shipped = {path.name for path in (ROOT / "ib_analysis" / "plots" / "templates").iterdir()}
    assert shipped == {path.name for path in (installed / "ib_analysis" / "plots" / "templates").iterdir()}


def test_every_base_that_ships_is_whole_in_the_wheel(installed: Path) -> None:
    """Each a folder of files; an installer has no use for what lies deeper, beside them, or hidden."""
    folder = ROOT / "ib_analysis" / "bases" / "shipped"
    bases = {path.relative_to(folder) for path in folder.glob("*/*") if not path.name.startswith(".")}
    there = installed / "ib_analysis" / "bases" / "shipped"
    assert {path.relative_to(there) for path in there.glob("*/*")} - {Path(*MADE_UP)} == bases
    for path in bases:
        assert (there / path).read_bytes() == (folder / path).read_bytes()
    for base in {path.parent for path in bases}:
        assert {"base.safetensors", "base.safetensors.json", "card.md"} <= {
            path.name for path in (there / base).iterdir()
        }


def test_a_base_gets_into_the_wheel(installed: Path) -> None:
    assert installed.joinpath("ib_analysis", "bases", "shipped", *MADE_UP).read_bytes() == b"weights"


def test_the_package_looks_for_bases_where_they_are(installed: Path, tmp_path: Path) -> None:
    code = "from ib_analysis.bases.recipe import SHIPPED; print(SHIPPED)"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == installed / "ib_analysis" / "bases" / "shipped"


def test_a_shipped_experiment_runs_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    small = ["--training.epochs", "1", "--encoder.width", "2", "--data.factors.n_encoder", "64"]
    small += ["--data.factors.n_decoder", "64", "--data.factors.n_evaluation", "32", "--tasks", "[classification]"]
    done = ib(installed, tmp_path, "train", "default", *small)
    assert done.returncode == 0, done.stderr
    assert str(installed) in done.stdout
    assert (tmp_path / "checkpoints" / "default" / "activations" / "classification_float32_seed0.h5").exists()


def test_a_file_of_the_same_name_in_the_current_folder_wins(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "default.yaml").write_text("encoder: {depth: 9}\n")
    done = ib(installed, tmp_path, "describe", "default")
    assert done.returncode == 2
    assert "encoder.depth is 9" in done.stderr


def test_an_unknown_experiment_is_told_with_those_there_are(installed: Path, tmp_path: Path) -> None:
    done = ib(installed, tmp_path, "describe", "defualt")
    assert done.returncode == 2
    assert "no experiment 'defualt'" in done.stderr
    assert all(Path(name).stem in done.stderr for name in EXPERIMENTS)
