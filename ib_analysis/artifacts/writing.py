"""Files that appear under their names only when they are whole."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ib_analysis.artifacts.errors import UserError

__all__ = ["atomic_path", "explained", "write_atomically", "write_text"]


_NO_FSYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What `fsync` fails with where a file system has none; what is full or broken says something else."""


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Hand out a temporary path in the same folder; move it over ``path`` if the block succeeds.

    A reader sees the old file or the whole new one, never a part. On any error the temporary file is removed.

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix stays: libraries choose a file format by it.
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=f".part{path.suffix}", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        _settle(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise explained(error, path) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _settle(path: Path) -> None:
    """Bring a file to the disk, and let others read it, as far as the file system knows how to."""
    with path.open("rb+") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in _NO_FSYNC:
                raise
    with contextlib.suppress(OSError):  # without modes (CIFS) all files have the one that it was mounted with
        os.chmod(path, 0o644)


def explained(error: OSError, path: Path) -> Exception:
    """An error of writing as a sentence for the user, where it is one that the user can mend."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
        return UserError(
            f"The disk is full: {path} could not be written; free some space and run the same command again, "
            "everything finished so far is kept."
        )
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ENOENT, errno.EEXIST):
        return UserError(f"{path} cannot be written ({error.strerror}); choose a folder that you may write to.")
    return error


@contextlib.contextmanager
def write_atomically(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing bytes that appears under its name only when it is whole (see `atomic_path`)."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        yield file


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with write_atomically(path) as file:
        file.write(text.encode(errors="surrogateescape"))  # names of folders in whatever encoding stay theirs
