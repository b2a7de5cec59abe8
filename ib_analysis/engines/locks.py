"""Locks between processes: the system's where the file system has them, else a claim that goes stale."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ib_analysis.artifacts import UserError, explained, tell_once
from ib_analysis.engines.claims import STALE_SECONDS, claimed

__all__ = ["exclusive"]

POLL_SECONDS = 0.1
HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
"""What `flock` fails with where another process has the lock (EACCES: of NFS, as `fcntl` has it)."""


@contextlib.contextmanager
def exclusive(path: Path, what: str, patience: float = 0.0) -> Iterator[None]:
    """Hold a lock file, so that two processes never write the same artifacts.

    A file system without locks gets a file ``<path>.claim`` instead (see `ib_analysis.engines.claims`), which is said
    once in a command.

    Arguments:
        path: the lock file; it is left where it is.
        what: is locked, in words.
        patience: seconds to wait for the one who holds it.

    Raises:
        UserError: another process holds it, or the lock file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise explained(error, path) from error
    with file:
        missing = _lock(file, what, patience)
        if missing is None:
            yield
            return
        _tell(path, missing)
        with claimed(path.with_name(path.name + ".claim"), what, patience):
            yield


def _lock(file: IO[str], what: str, patience: float) -> OSError | None:
    """Lock the file; returns what the system says where that is impossible on this file system."""
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
        except OSError as error:
            # Lustre without its option, NFS without a lock daemon: ENOSYS, ENOLCK, EOPNOTSUPP and what else there is.
            if error.errno not in HELD:
                return error
            if time.monotonic() >= deadline:
                raise UserError(
                    f"Another process is working on {what}; wait for it to end, or stop it, then run this again."
                ) from error
        time.sleep(POLL_SECONDS)


def _tell(path: Path, error: OSError) -> None:
    tell_once(
        "locks",
        f"The file system of {path.parent} has no locks ({os.strerror(error.errno or 0)}); files that name the process "
        f"at work stand in for them. What a process on another machine leaves when it is killed holds off the next "
        f"command for {STALE_SECONDS:.0f} seconds.",
    )
