"""Locks of the system, and claims where a file system has none: who holds them, and when they are void."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import errno
import fcntl
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import h5py
import pytest

from ib_analysis.artifacts import UserError, begin_notices, write_text
from ib_analysis.cli import main
from ib_analysis.engines import claims
from ib_analysis.engines.claims import Claim, claimed
from ib_analysis.engines.locks import exclusive
from ib_analysis.hdf5 import read_hdf5, write_hdf5

WITHOUT_LOCKS = [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP]


def failing(number: int) -> Any:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    begin_notices()
    monkeypatch.setattr(claims, "SETTLE_SECONDS", 0.05)


def somebody(path: Path, age: float = 0.0, **changes: Any) -> Claim:
    """A claim of a living process of this machine, or what the changes make of it."""
    claim = Claim("here", claims._place(), os.getpid(), claims._started(os.getpid()), "theirs")
    claim = dataclasses.replace(claim, **changes)
    path.write_text(json.dumps(dataclasses.asdict(claim)))
    os.utime(path, (time.time() - age,) * 2)
    return claim


def refused(path: Path) -> str | None:
    try:
        with exclusive(path, "the experiment"):
            return None
    except UserError as error:
        return str(error)


@pytest.mark.parametrize("number", WITHOUT_LOCKS)
def test_without_locks_of_the_system_a_claim_holds_off_others_and_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(number))
    path = tmp_path / "experiment" / ".lock"
    with exclusive(path, "the experiment"):
        sentence = refused(path)
        assert sentence is not None
        assert f"Another process ({os.getpid()} on " in sentence
    assert refused(path) is None
    assert [item.name for item in path.parent.iterdir()] == [".lock"]
    (told,) = caplog.records
    assert f"has no locks ({os.strerror(number)})" in told.message


@pytest.mark.parametrize("number", [errno.EWOULDBLOCK, errno.EAGAIN])
def test_a_lock_that_is_held_is_no_missing_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(number))
    assert str(refused(tmp_path / ".lock")).startswith("Another process is working on the experiment;")
    assert not (tmp_path / ".lock.claim").exists()


def test_a_lock_of_the_system_holds_off_another_process(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    script = f"""
import sys
from pathlib import Path
from ib_analysis.engines.locks import exclusive
from ib_analysis.hdf5 import read_hdf5, write_hdf5
with exclusive(Path({str(tmp_path / ".lock")!r}), "it"):
    print("held", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert refused(tmp_path / ".lock") is not None
        process.kill()
    assert refused(tmp_path / ".lock") is None
    assert not caplog.records


def test_the_claim_of_a_process_that_is_gone_is_void_at_once(tmp_path: Path) -> None:
    path = tmp_path / "claim"
    process = subprocess.Popen(["true"])
    process.wait()
    somebody(path, pid=process.pid)
    with claimed(path, "it"):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    somebody(path, started="1")  # the process id is another process's now
    with claimed(path, "it"):
        pass
    somebody(path, age=1e6)  # it lives, and was only asleep
    with pytest.raises(UserError, match="is working on it"), claimed(path, "it"):
        pass


def test_a_claim_from_elsewhere_is_void_when_it_is_not_renewed(tmp_path: Path) -> None:
    path = tmp_path / "claim"
    somebody(path, place="far away", host="far", age=claims.STALE_SECONDS - 20)
    with pytest.raises(UserError, match=rf"\({os.getpid()} on far\) is working on it"), claimed(path, "it"):
        pass
    somebody(path, place="far away", host="far", age=claims.STALE_SECONDS + 20)
    with claimed(path, "it"):
        pass
    path.write_text("")  # its maker was killed before he wrote his name
    with pytest.raises(UserError, match="Another process is working on it"), claimed(path, "it"):
        pass
    os.utime(path, (time.time() - claims.STALE_SECONDS - 20,) * 2)
    with claimed(path, "it"):
        pass
    assert not list(tmp_path.iterdir())


def test_whoever_waits_gets_the_claim_that_is_given_back(tmp_path: Path) -> None:
    path = tmp_path / "claim"
    somebody(path)
    threading.Timer(0.3, path.unlink).start()
    with claimed(path, "it", patience=20.0):
        assert path.exists()


@pytest.mark.parametrize("utime", [os.utime, failing(errno.EPERM)])
def test_a_claim_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, utime: Any) -> None:
    path, ordinary = tmp_path / "claim", os.utime
    monkeypatch.setattr(claims, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(os, "utime", utime)
    with claimed(path, "it"):
        ordinary(path, (0, 0))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime < 1 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert path.stat().st_mtime > 1


def test_whoever_lost_a_claim_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "claim"
    monkeypatch.setattr(claims, "BEAT_SECONDS", 0.02)

    def work() -> None:
        with claimed(path, "it"):
            somebody(path)
            time.sleep(20)

    # In the background of a shell the signal is ignored, and whoever lost a claim ends at once.
    kept = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(UserError, match="another one has gone on with it"):
            work()
    finally:
        signal.signal(signal.SIGINT, kept)
    found = claims._read(path)
    assert found is not None
    assert found.token == "theirs"


def test_of_many_who_find_a_void_claim_one_gets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They differ in how long they take from looking at it to replacing it, and none waits for the others."""
    monkeypatch.setattr(claims, "SETTLE_SECONDS", 0.0)
    unlink, delays = Path.unlink, itertools.cycle([0.0, 0.05, 0.1, 0.15])

    def slow(path: Path, missing_ok: bool = False) -> None:
        if path.name.startswith("claim") and path.suffix != ".part":
            time.sleep(next(delays))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", slow)
    for attempt in range(2):
        path = tmp_path / f"claim{attempt}"
        somebody(path, started="1")
        gate, got = threading.Barrier(8), []

        def take(index: int, path: Path = path, gate: threading.Barrier = gate, got: list[int] = got) -> None:
            ours = Claim("here", claims._place(), os.getpid(), claims._started(os.getpid()), str(index))
            gate.wait()
            if claims._take(path, ours):
                got.append(index)

        threads = [threading.Thread(target=take, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1
        claim = claims._read(path)
        assert claim is not None
        assert claim.token == str(got[0])
        assert list(tmp_path.glob("*.replacing")) == []


def test_whoever_was_killed_while_replacing_a_claim_holds_nobody_off(tmp_path: Path) -> None:
    path, right = tmp_path / "claim", tmp_path / "claim.replacing"
    somebody(path, started="1")
    somebody(right)  # lives
    with pytest.raises(UserError, match="is working on it"), claimed(path, "it"):
        pass
    somebody(right, started="1")
    with claimed(path, "it"):
        assert [item.name for item in tmp_path.iterdir()] == ["claim"]
    assert list(tmp_path.iterdir()) == []


def test_an_experiment_on_a_file_system_without_locks_modes_and_fsync(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(errno.ENOSYS))
    monkeypatch.setattr(os, "chmod", failing(errno.EPERM))
    monkeypatch.setattr(os, "fsync", failing(errno.EINVAL))
    options = ["--layers", "[h3]", "--tasks", "[classification]"]
    assert main(["train", "tiny.yaml", *options]) == 0
    assert Path("checkpoints/tiny/activations/classification_float32_seed0.h5.json").exists()
    assert len([record for record in caplog.records if "has no locks" in record.message]) == 1
    somebody(Path("checkpoints/tiny/.lock.claim"))
    assert main(["train", "tiny.yaml", *options]) == 2


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails_is_no_disk_without_fsync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "fsync", failing(number))
    with pytest.raises((OSError, UserError)):
        write_text(tmp_path / "table.csv", "content")
    assert not list(tmp_path.iterdir())


def test_hdf5_files_are_read_and_written_without_locks_of_their_own(tiny: Path) -> None:
    """HDF5 fails where it cannot lock: it must not try. Here each of its locks would meet another one."""
    command = ["samples", "tiny.yaml", "--layers", "[h3]", "--tasks", "[classification]"]
    assert main(command) == 0
    with contextlib.ExitStack() as held:
        for path in Path("checkpoints/tiny").rglob("*.h5"):
            fcntl.flock(held.enter_context(path.open("rb")), fcntl.LOCK_EX)
        Path("checkpoints/tiny/activations/classification_float32_seed0.h5.json").unlink()
        assert main([*command, "--estimation.resamples", "40", "--sampling.draws", "1"]) == 0


def test_no_hdf5_file_is_opened_with_a_lock() -> None:
    for path in sorted((Path(__file__).parents[2] / "ib_analysis").rglob("*.py")):
        if path.name == "hdf5.py":
            continue  # `read_hdf5` does as somebody else did, where the file is open already
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) == "h5py.File"
                and "content" not in ast.unparse(node)
            ):
                words = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert words.get("locking") == "False", f"{path}:{node.lineno}"


def test_a_file_that_is_open_with_locks_is_read_all_the_same(tmp_path: Path) -> None:
    with write_hdf5(tmp_path / "bits.h5") as file:
        file["bits"] = [1.0, 2.0]
    with h5py.File(tmp_path / "bits.h5"), read_hdf5(tmp_path / "bits.h5") as found:  # in a notebook, say
        assert found["bits"][()].tolist() == [1.0, 2.0]
    (tmp_path / "bits.h5").write_bytes(b"no such file")
    with pytest.raises(OSError, match="signature"):
        read_hdf5(tmp_path / "bits.h5")
