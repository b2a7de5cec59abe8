"""What a user should know of a command, said once in it and not once for each of a thousand artifacts."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

__all__ = ["begin_notices", "silent", "tell_once"]

logger = logging.getLogger(__name__)

_told: set[str] = set()
_silent = False


def begin_notices() -> None:
    """A new command begins: everything may be said again."""
    _told.clear()


def tell_once(topic: str, sentence: str) -> None:
    """Log a sentence as a warning, unless one on this topic was logged in this command, or by whoever started us."""
    if topic not in _told and not _silent:
        _told.add(topic)
        logger.warning("%s", sentence)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Say nothing in the block: for the processes of a command whose main process has looked at the same artifacts."""
    global _silent
    before, _silent = _silent, True
    try:
        yield
    finally:
        _silent = before
