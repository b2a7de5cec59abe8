"""Which packed files this run has compared with their images and hashed already, so that it is done once.

A run asks for its images many times: each unit of work, in each worker process, begins with them. To walk a tree of a
million files and to hash gigabytes of pixels each time would take longer than the work. What one process has verified
is kept in an environment variable, which the processes that it starts inherit. It ends with the run: the next one
verifies anew, and finds what was changed or damaged in between.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from ib_analysis.artifacts import sha256_of_plain

__all__ = ["forget", "is_verified", "remember"]

VARIABLE = "IB_VERIFIED_PACKS"


def forget() -> None:
    """Begin a run: nothing is verified yet, whatever the process that started this one has seen."""
    os.environ.pop(VARIABLE, None)


def remember(path: Path, recipe: dict[str, object]) -> None:
    """Keep that a packed file is whole and up to date.

    Arguments:
        path: the packed file.
        recipe: how it was packed, but for the images themselves.
    """
    os.environ[VARIABLE] = json.dumps({**_known(), _key(path, recipe): _state(path)})


def is_verified(path: Path, recipe: dict[str, object]) -> bool:
    """Whether `remember` was told of this file in this run, and its size and time are still the same."""
    state = _state(path)
    return state is not None and _known().get(_key(path, recipe)) == state


def _key(path: Path, recipe: dict[str, object]) -> str:
    return sha256_of_plain([path.absolute(), recipe])


def _state(path: Path) -> list[int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _known() -> dict[str, list[int] | None]:
    try:
        found = json.loads(os.environ.get(VARIABLE, "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
