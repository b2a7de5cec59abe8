"""A folder of images, or a tar of one, behind one interface; nothing of a tar is ever unpacked to disk."""

from __future__ import annotations

import io
import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from ib_analysis.artifacts import UserError, sha256_of_plain

__all__ = ["Archive", "Listing", "open_archive"]

SUFFIXES = (".png", ".jpg", ".jpeg")
MAX_DEPTH = 8
TAR_ERRORS = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError)


@dataclass(frozen=True)
class Listing:
    """What an archive holds.

    Arguments:
        files: paths of the PNG and JPEG files relative to the archive, sorted; hidden ones are left out.
        folders: paths of all folders, sorted, empty ones too.
        stamp: hash that changes when a file is added, removed, renamed or written.
    """

    files: tuple[str, ...]
    folders: tuple[str, ...]
    stamp: str


class Archive(Protocol):
    """A folder or a tar."""

    @property
    def path(self) -> Path:
        """Where it lies."""

    def stamp(self) -> str:
        """See `Listing.stamp`."""

    def listing(self) -> Listing:
        """All images and folders."""

    def read(self, files: tuple[str, ...]) -> Iterator[tuple[str, IO[bytes]]]:
        """Each listed file's path and content, in the order that is fastest to read."""


def open_archive(path: Path) -> Tree | Tar:
    """A folder, or else a tar of any compression that Python knows."""
    return Tree(path) if path.is_dir() else Tar(path)


def _wanted(parts: tuple[str, ...]) -> bool:
    """Not hidden, and none of the shadow files that macOS writes."""
    return not any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


@dataclass(frozen=True)
class Tree:
    """A folder on disk; symbolic links are followed."""

    path: Path

    def stamp(self) -> str:
        return self.listing().stamp

    def listing(self) -> Listing:
        files: list[tuple[str, int, int]] = []
        folders: list[str] = []
        for directory, below, names in os.walk(self.path, followlinks=True):
            relative = Path(directory).relative_to(self.path)
            # A link to a folder above would otherwise be followed for ever.
            below[:] = [name for name in below if _wanted((name,)) and len(relative.parts) < MAX_DEPTH]
            folders += [(relative / name).as_posix() for name in below]
            for name in names:
                if _is_image(name) and _wanted((name,)):
                    try:
                        status = os.stat(os.path.join(directory, name))
                    except OSError as error:
                        raise UserError(
                            f"{os.path.join(directory, name)} cannot be read ({error.strerror}); replace or remove it."
                        ) from error
                    files.append(((relative / name).as_posix(), status.st_size, status.st_mtime_ns))
        files.sort()
        stamp = sha256_of_plain([files, sorted(folders)])
        return Listing(tuple(name for name, *_ in files), tuple(sorted(folders)), stamp)

    def read(self, files: tuple[str, ...]) -> Iterator[tuple[str, IO[bytes]]]:
        for name in files:
            try:
                content = (self.path / name).read_bytes()
            except OSError as error:
                raise UserError(
                    f"{self.path / name} cannot be read ({error.strerror}); replace or remove it."
                ) from error
            yield name, io.BytesIO(content)


@dataclass(frozen=True)
class Tar:
    """A tar file, compressed or not, read from front to back."""

    path: Path

    def stamp(self) -> str:
        # The file stands for its members: to read them all just to see that nothing changed would take long.
        status = self.path.stat()
        return sha256_of_plain([status.st_size, status.st_mtime_ns])

    def listing(self) -> Listing:
        files, folders = set(), set()
        for member in self._members():
            name = _safe(member, self.path)
            if not _wanted(name.parts):
                continue
            if member.isdir():
                folders.add(name.as_posix())
            elif member.isfile() and _is_image(name.name):
                files.add(name.as_posix())
            folders.update(parent.as_posix() for parent in name.parents if parent.parts)
        folders.discard(".")
        return Listing(tuple(sorted(files)), tuple(sorted(folders)), self.stamp())

    def read(self, files: tuple[str, ...]) -> Iterator[tuple[str, IO[bytes]]]:
        waiting = set(files)
        with self._open() as tar:
            try:
                for member in _each(tar):
                    name = PurePosixPath(member.name).as_posix()
                    content = tar.extractfile(member) if member.isfile() and name in waiting else None
                    if content is not None:
                        waiting.discard(name)
                        yield name, io.BytesIO(content.read())
            except TAR_ERRORS as error:
                raise self._unreadable(error) from error

    def _members(self) -> Iterator[tarfile.TarInfo]:
        with self._open() as tar:
            try:
                yield from _each(tar)
            except TAR_ERRORS as error:
                raise self._unreadable(error) from error

    def _open(self) -> tarfile.TarFile:
        try:
            return tarfile.open(self.path, "r:*")
        except TAR_ERRORS as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> UserError:
        return UserError(
            f"{self.path} is no folder and cannot be read as a tar ({error}); name a folder or a whole "
            ".tar, .tar.gz or .tar.xz file (a download that broke off must be repeated)."
        )


def _each(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members one after the other; `tarfile` would keep all their headers, 1 kB each."""
    while (member := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]
        yield member


def _safe(member: tarfile.TarInfo, path: Path) -> PurePosixPath:
    """The member's name, if it stays inside the archive.

    Raises:
        UserError: the name is absolute, climbs out with `..`, or the member is a link to an image.
    """
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise UserError(
            f"{path} holds the unsafe path {member.name!r}, which leads out of the archive; it was not "
            "read: make the tar anew with paths relative to its folder."
        )
    if (member.issym() or member.islnk()) and _is_image(member.name):
        raise UserError(
            f"{path} holds the link {member.name!r} in place of an image; links in a tar are not followed: "
            "make the tar anew with --dereference --hard-dereference."
        )
    return name
