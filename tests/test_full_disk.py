"""A disk that fills up: one sentence, and nothing half-written is left."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from ib_analysis.artifacts import UserError, load_tensors, save_tensors
from ib_analysis.hdf5 import write_hdf5


class FullDisk(io.FileIO):
    """Takes some bytes, then has no room left."""

    room = 1000

    def write(self, content: Any) -> int:
        self.room -= memoryview(content).nbytes
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(content)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    ordinary = Path.open

    def opened(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        return FullDisk(path, "w") if mode == "wb" else ordinary(path, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", opened)


@pytest.mark.usefixtures("full_disk")
def test_tensors_on_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"The disk is full: .*state\.pt could not be written"):
        save_tensors(tmp_path / "state.pt", {"weights": torch.zeros(10_000)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("full_disk")
def test_hdf5_on_a_full_disk(tmp_path: Path) -> None:
    def write() -> None:
        with write_hdf5(tmp_path / "bits.h5") as file:
            for i in range(100):
                file[f"cell_{i}"] = np.arange(i)

    with pytest.raises(UserError, match=r"The disk is full: .*bits\.h5"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_never_ends_the_process(tmp_path: Path) -> None:
    """The real thing: the system itself refuses to let files grow."""
    script = f"""
        import errno, os, resource, signal
        from pathlib import Path
        import numpy as np, torch
        from ib_analysis.artifacts import save_tensors
        from ib_analysis.hdf5 import write_hdf5
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        for work in ("tensors", "hdf5"):
            try:
                if work == "tensors":
                    save_tensors(Path({str(tmp_path)!r}) / "state.pt", {{"weights": torch.zeros(10_000)}})
                else:
                    with write_hdf5(Path({str(tmp_path)!r}) / "bits.h5") as file:
                        for i in range(300):
                            file[f"group_{{i % 7}}/cell_{{i}}"] = np.arange(float(i))
            except OSError as error:
                print(work, errno.errorcode[error.errno])
    """
    found = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout.split("\n") == ["tensors EFBIG", "hdf5 EFBIG", ""]
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays_if_the_new_file_fails(tmp_path: Path) -> None:
    path = tmp_path / "bits.h5"
    with write_hdf5(path) as file:
        file["bits"] = [1.0, 2.0]
    before = path.read_bytes()

    def fail() -> None:
        with write_hdf5(path) as file:
            file["bits"] = [3.0]
            raise RuntimeError("in between")

    with pytest.raises(RuntimeError, match="in between"):
        fail()
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["bits.h5"]
    with h5py.File(path) as found:
        assert found["bits"][()].tolist() == [1.0, 2.0]


def test_equal_content_gives_equal_bytes_under_any_name(tmp_path: Path) -> None:
    for name in ("one", "another"):
        save_tensors(tmp_path / f"{name}.pt", {"weights": torch.arange(5.0), "step": 3})
        with write_hdf5(tmp_path / f"{name}.h5") as file:
            file["bits"] = np.arange(5.0)
            file.attrs["seed"] = 3
    for suffix in (".pt", ".h5"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"another{suffix}").read_bytes()
    assert load_tensors(tmp_path / "one.pt")["weights"].tolist() == [0, 1, 2, 3, 4]
