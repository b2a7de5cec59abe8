"""Memory that does not suffice and processes that end are told in a sentence that says what to do."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ib_analysis import cli
from ib_analysis.artifacts import UserError
from ib_analysis.engines.local import Unit, Workers, attempt

TOO_MANY = 10**15
"""Floats that no address space holds: the allocators really fail."""


def of_torch(progress: object) -> None:
    torch.empty(TOO_MANY)


def of_numpy(progress: object) -> None:
    np.empty(TOO_MANY)


def of_the_system(progress: object) -> None:
    raise OSError(errno.ENOMEM, "Cannot allocate memory")


@pytest.mark.parametrize("function", [of_torch, of_numpy, of_the_system])
def test_a_shortage_of_memory_is_one_sentence_in_this_process_and_in_workers(function, tmp_path: Path) -> None:
    with Workers(1, 1, tmp_path, quiet=True) as workers, pytest.raises(UserError, match="'fit' ran out of memory"):
        workers.run("fit", [Unit("one", function, ())])
    kind, content = attempt(function, (), lambda *news: None)
    assert kind == "user_error"
    assert "ran out of memory; use --workers 1" in content


def test_other_errors_of_the_same_kinds_stay_what_they_are(tmp_path: Path) -> None:
    def fails(progress: object) -> None:
        torch.zeros(2) @ torch.zeros(3)

    with Workers(1, 1, tmp_path, quiet=True) as workers, pytest.raises(RuntimeError, match="size"):
        workers.run("fit", [Unit("one", fails, ())])


def test_outside_of_stages_too(tiny: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "Experiment", lambda config: of_torch(None))
    assert cli.main(["describe", "tiny.yaml"]) == 2
    assert capsys.readouterr().err.startswith("ib: ib describe ran out of memory; ")


UNITS = """
import os

def killed(number, progress):
    os.kill(os.getpid(), number)
"""
SCRIPT = """
import sys
from pathlib import Path
from units import killed
from ib_analysis.artifacts import UserError
from ib_analysis.engines.local import Unit, Workers

def main():
    for number in map(int, sys.argv[1:]):
        try:
            with Workers(2, 1, Path("."), quiet=True) as workers:
                workers.run("fit", [Unit("one", killed, (number,)), Unit("two", killed, (number,))])
        except UserError as error:
            print(error)

"""


def said_by(body: str, *words: str) -> str:
    Path("units.py").write_text(UNITS)
    Path("script.py").write_text(SCRIPT + body)
    done = subprocess.run([sys.executable, "script.py", *words], capture_output=True, text=True, timeout=300)
    return done.stdout


def test_a_worker_that_is_killed_is_told_from_one_that_is_ended(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    killed, ended = said_by("if __name__ == '__main__':\n    main()\n", "9", "15").splitlines()
    assert "was killed (often for want of memory)" in killed
    assert "was ended by SIGTERM" in ended


def test_a_script_needs_no_guard(tmp_path: Path, monkeypatch) -> None:
    """Workers do not run it again, as processes that are spawned otherwise do."""
    monkeypatch.chdir(tmp_path)
    (said,) = said_by("main()\n", "9").splitlines()
    assert "was killed (often for want of memory)" in said
