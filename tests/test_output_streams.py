"""Whoever reads the output may know only ASCII, or go away: no traceback, also not as the interpreter ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ib_analysis.artifacts import write_text

IB = [sys.executable, "-m", "ib_analysis.cli"]
ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_characters_that_cannot_be_written_are_escaped(tiny: Path) -> None:
    words = ["train", "tiny.yaml", "--name", "größe", "--training.epochs", "1", "--tasks", "[classification]"]
    done = subprocess.run([*IB, *words], env={**os.environ, **ASCII}, capture_output=True, timeout=300)
    said = done.stderr.decode("ascii")
    assert done.returncode == 0, said
    assert "Traceback" not in said
    told = done.stdout.decode("ascii")
    assert "größe".encode() in os.fsencode(next(Path("checkpoints").iterdir()))
    assert r"gr\udcc3\udcb6\udcc3\udc9fe" in told  # the name as Python has it in this locale


def test_a_name_in_whatever_encoding_is_written_as_it_is_on_disk(tmp_path: Path) -> None:
    write_text(tmp_path / "text", os.fsencode("größe").decode("ascii", "surrogateescape"))
    assert (tmp_path / "text").read_text(encoding="utf-8") == "größe"


@pytest.mark.parametrize("words", [["describe", "tiny.yaml"], ["figures", "--help"]])
def test_a_closed_pipe_ends_the_command_quietly(tiny: Path, words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run([*IB, *words], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120)
    finally:
        os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 141 or "--help" in words  # argparse says nothing of a help that it could not write
