"""Claims in the place of locks, for file systems that have none: a file that names who is at work.

A claim is created exclusively, which file systems do have, and its time is renewed for as long as its process lives. It
is void once its process is gone, where that can be seen from here, and else once it has not been renewed for a while.
Between looking at a void claim and replacing it another process may do the same; so a claim is replaced only by whoever
holds a second one beside it, and he looks again before he does. Only where the holder of that one was killed as well,
within the moment that replacing takes, does time decide: whoever replaces it waits and looks whether it is still his.
Locks are better: nobody has to guess whether their holder lives.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ib_analysis.artifacts import UserError, explained

__all__ = ["STALE_SECONDS", "claimed"]

BEAT_SECONDS = 10.0
"""Time between two renewals."""
STALE_SECONDS = 120.0
"""Age at which a claim is void whose process cannot be seen."""
SETTLE_SECONDS = 1.0
"""How long whoever takes the void right to replace a claim waits before believing that it is his."""
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Claim:
    """Who is at work.

    Arguments:
        host: name of the machine.
        place: of the processes that can see each other: host, start of the machine, and container.
        pid: of the process.
        started: when it started, as the system counts; empty where that is not told. Process ids are used again.
        token: no other claim has it.
    """

    host: str
    place: str
    pid: int
    started: str
    token: str


@contextlib.contextmanager
def claimed(path: Path, what: str, patience: float = 0.0) -> Iterator[None]:
    """Hold a claim.

    Arguments:
        path: the file.
        what: is claimed, in words.
        patience: seconds to wait for the one who holds it.

    Raises:
        UserError: another process holds it, took it over while this one gave no sign of life, or it cannot be written.
    """
    ours = Claim(socket.gethostname(), _place(), os.getpid(), _started(os.getpid()), secrets.token_hex(8))
    deadline = time.monotonic() + patience
    try:
        while not _take(path, ours):
            if time.monotonic() >= deadline:
                raise _held(path, what)
            time.sleep(POLL_SECONDS)
    except OSError as error:
        raise explained(error, path) from error
    ended, lost = threading.Event(), threading.Event()
    beats = threading.Thread(target=_renew, args=(path, ours, ended, lost), daemon=True)
    beats.start()
    try:
        yield
    except KeyboardInterrupt as error:
        if lost.is_set():
            raise UserError(
                f"This process gave no sign of life for {STALE_SECONDS:.0f} seconds, and another one has gone on with "
                f"{what}; wait for that to end, then run this again."
            ) from error
        raise
    finally:
        ended.set()
        beats.join()
        if _read(path) == ours:
            path.unlink(missing_ok=True)


def _take(path: Path, ours: Claim) -> bool:
    """Try to get the claim once."""
    if _create(path, ours):
        return True
    if not _is_void(path, _read(path)):
        return False
    right = path.with_name(f"{path.name}.replacing")
    if not _take_right(right, ours):
        return False
    try:
        if not _is_void(path, _read(path)):  # another one has replaced it since we looked
            return False
        path.unlink(missing_ok=True)
        return _create(path, ours)
    finally:
        if _read(right) == ours:
            right.unlink(missing_ok=True)


def _take_right(right: Path, ours: Claim) -> bool:
    """Try to get the right to replace a claim, which is held for a moment."""
    if _create(right, ours):
        return True
    theirs = _read(right)
    if not _is_void(right, theirs) or _read(right) != theirs:
        return False
    right.unlink(missing_ok=True)
    if not _create(right, ours):
        return False
    time.sleep(SETTLE_SECONDS)
    return _read(right) == ours


def _create(path: Path, claim: Claim) -> bool:
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        file.write(json.dumps(asdict(claim)))
    return True


def _read(path: Path) -> Claim | None:
    """The claim; None where there is none, or none that can be read (yet)."""
    try:
        return Claim(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _is_void(path: Path, claim: Claim | None) -> bool:
    if claim is not None and claim.place == _place():
        try:
            os.kill(claim.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # it lives, and is another user's
        if claim.started:
            return _started(claim.pid) != claim.started
    try:
        return _now(path) - path.stat().st_mtime > STALE_SECONDS
    except FileNotFoundError:
        return False  # just given back, or cleared away: the next attempt tells


def _now(path: Path) -> float:
    """The time by the clock that stamps files, which may be a server's, in seconds."""
    probe = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")  # removed by `remove_parts`, if we are killed
    try:
        probe.write_text("")
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _renew(path: Path, ours: Claim, ended: threading.Event, lost: threading.Event) -> None:
    """Renew a claim until the end, and stop the process if another one has taken it over."""
    while not ended.wait(BEAT_SECONDS):
        found = _read(path)
        if found is not None and found != ours:
            lost.set()
            if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
                os._exit(1)  # a worker, whose parent tells of it
            os.kill(os.getpid(), signal.SIGINT)
            return
        with contextlib.suppress(OSError):  # what cannot be renewed now may be the next time
            if found is None:
                _create(path, ours)
            else:
                _stamp(path, ours)


def _stamp(path: Path, ours: Claim) -> None:
    try:
        os.utime(path)
    except OSError:  # not allowed on some file systems, where writing is
        path.write_text(json.dumps(asdict(ours)))


def _held(path: Path, what: str) -> UserError:
    claim = _read(path)
    who = "Another process" if claim is None else f"Another process ({claim.pid} on {claim.host})"
    return UserError(
        f"{who} is working on {what}; wait for it to end, or stop it, then run this again. If it is gone already, wait "
        f"{STALE_SECONDS:.0f} seconds."
    )


def _place() -> str:
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))  # containers count their processes for themselves
    return " ".join(parts)


def _started(pid: int) -> str:
    """When a process started, in clock ticks since the machine did; empty where that is not told (`man 5 proc`)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
