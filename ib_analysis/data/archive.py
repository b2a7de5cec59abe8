"""A folder of images, or a tar of one, behind one interface; nothing of a tar is ever unpacked to disk."""

from __future__ import annotations

import io
import lzma
import os
import tarfile
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from ib_analysis.artifacts import UserError, sha256_of_plain
from ib_analysis.data.decoding import SUFFIXES, UnusableError
from ib_analysis.data.own_files import first_of_each_kind, is_own, kind_of_evidence
from ib_analysis.data.wording import enumerated

__all__ = ["Archive", "Listing", "open_archive"]

MAX_DEPTH = 8
EVIDENCE_BYTES = 1 << 20
TAR_ERRORS = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError)


@dataclass(frozen=True)
class Listing:
    """What an archive holds, without hidden files and without what `ib` itself wrote there (see `own_files`).

    Arguments:
        files: paths of the image files relative to the archive, sorted.
        folders: paths of all folders, sorted, empty ones too.
        stamp: hash that changes when an image or folder is added, removed, renamed or written.
        left_out: paths of all other files, sorted.
    """

    files: tuple[str, ...]
    folders: tuple[str, ...]
    stamp: str
    left_out: tuple[str, ...] = ()


class Archive(Protocol):
    """A folder or a tar."""

    @property
    def path(self) -> Path:
        """Where it lies."""

    def quick_stamp(self) -> str | None:
        """`Listing.stamp`, where it is told faster than by a listing."""

    def listing(self) -> Listing:
        """All images and folders."""

    def read(self, files: tuple[str, ...]) -> Iterator[tuple[str, IO[bytes] | UnusableError]]:
        """Each listed file's path and content, or why it cannot be read, in the order that is fastest to read."""


def open_archive(path: Path, cache: Path | None = None) -> Tree | Tar:
    """A folder, or else a tar of any compression that Python knows.

    Arguments:
        cache: the folder of packed images, which may lie in the tree and is no part of it.
    """
    return Tree(path, cache) if path.is_dir() else Tar(path)


def _wanted(parts: tuple[str, ...]) -> bool:
    """Not hidden, and none of the shadow files that macOS writes."""
    return not any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _without_own(folders: Iterable[str], files: Iterable[str], own: Collection[str]) -> tuple[str, ...]:
    """Folders, sorted, but those that hold nothing but folders of ours."""
    above_own = _above(own)
    above_files = _above(files)
    return tuple(sorted(name for name in folders if name not in above_own or name in above_files))


def _above(paths: Iterable[str]) -> set[str]:
    """All folders above some paths."""
    found: set[str] = set()
    for path in paths:
        while (path := path.rpartition("/")[0]) and path not in found:
            found.add(path)
    return found


@dataclass(frozen=True)
class Tree:
    """A folder on disk; symbolic links are followed."""

    path: Path
    cache: Path | None = None

    def quick_stamp(self) -> None:
        return None

    def listing(self) -> Listing:
        files: list[tuple[str, int, int]] = []
        folders: list[str] = []
        left_out: list[str] = []
        own: list[str] = []
        lost: list[str] = []

        def failed(error: OSError) -> None:
            lost.append(f"{Path(error.filename).relative_to(self.path).as_posix()} ({error.strerror})")

        for directory, below, names in os.walk(self.path, onerror=failed, followlinks=True):
            relative = Path(directory).relative_to(self.path)
            if relative.parts and self._is_own(directory, names):
                own.append(relative.as_posix())
                below.clear()
                continue
            if relative.parts:
                folders.append(relative.as_posix())
            # A link to a folder above would otherwise be followed for ever.
            below[:] = [name for name in below if _wanted((name,)) and len(relative.parts) < MAX_DEPTH]
            for name in filter(lambda name: _wanted((name,)), names):
                path = (relative / name).as_posix()
                if not _is_image(name):
                    left_out.append(path)
                    continue
                try:
                    status = os.stat(os.path.join(directory, name))
                except OSError as error:
                    lost.append(f"{path} ({error.strerror})")
                    continue
                files.append((path, status.st_size, status.st_mtime_ns))
        if lost:
            raise UserError(
                f"{self.path} holds what cannot be read: {enumerated(sorted(lost))}; replace or remove it, or ask for "
                "the right to read it."
            )
        files.sort()
        kept = _without_own(folders, (name for name, *_ in files), own)
        stamp = sha256_of_plain([files, kept])
        return Listing(tuple(name for name, *_ in files), kept, stamp, tuple(sorted(left_out)))

    def read(self, files: tuple[str, ...]) -> Iterator[tuple[str, IO[bytes] | UnusableError]]:
        for name in files:
            try:
                content: IO[bytes] | UnusableError = io.BytesIO((self.path / name).read_bytes())
            except OSError as error:
                content = UnusableError(f"cannot be read ({error.strerror})")
            yield name, content

    def _is_own(self, directory: str, names: Collection[str]) -> bool:
        cache, folder = self.cache, os.path.basename(directory)
        # By what it is, and not only by what is in it: a pack that failed leaves it empty.
        if cache is not None and cache.name == folder and cache.exists() and os.path.samefile(directory, cache):
            return True
        contents = {}
        for name in first_of_each_kind(names):
            try:
                with open(os.path.join(directory, name), "rb") as file:
                    contents[name] = file.read(EVIDENCE_BYTES)
            except OSError:
                continue  # what cannot be read tells nothing
        return is_own(folder, names, contents)


@dataclass(frozen=True)
class Tar:
    """A tar file, compressed or not, read from front to back."""

    path: Path

    def quick_stamp(self) -> str:
        # The file stands for its members: to read them all just to see that nothing changed would take long.
        status = self.path.stat()
        return sha256_of_plain([status.st_size, status.st_mtime_ns])

    def listing(self) -> Listing:
        names: dict[str, set[str]] = {}  # folder -> the files in it
        folders: set[str] = set()
        contents: dict[str, dict[str, bytes]] = {}
        for tar, member in self._members():
            path = _safe(member, self.path)
            if not _wanted(path.parts):
                continue
            folders.update(parent.as_posix() for parent in path.parents if parent.parts)
            if member.isdir():
                folders.add(path.as_posix())
            elif member.isfile():
                folder = path.parent.as_posix()
                names.setdefault(folder, set()).add(path.name)
                kind, known = kind_of_evidence(path.name), contents.setdefault(folder, {})
                if kind is not None and kind not in map(kind_of_evidence, known):
                    known[path.name] = self._content(tar, member, EVIDENCE_BYTES)
        folders.discard(".")
        own = [
            folder
            for folder, inside in names.items()
            if folder != "." and is_own(PurePosixPath(folder).name, inside, contents[folder])
        ]
        of_own = {folder for folder in {*folders, *names} if _is_inside(folder, own)}
        paths = [str(PurePosixPath(folder, name)) for folder in names.keys() - of_own for name in names[folder]]
        files = [path for path in paths if _is_image(path)]
        kept = _without_own(folders - of_own, files, own)
        left_out = tuple(sorted(path for path in paths if not _is_image(path)))
        return Listing(tuple(sorted(files)), kept, self.quick_stamp(), left_out)

    def read(self, files: tuple[str, ...]) -> Iterator[tuple[str, IO[bytes] | UnusableError]]:
        waiting = set(files)
        for tar, member in self._members():
            name = PurePosixPath(member.name).as_posix()
            if member.isfile() and name in waiting:
                waiting.discard(name)
                yield name, io.BytesIO(self._content(tar, member))

    def _members(self) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
        with self._open() as tar:
            try:
                for member in _each(tar):
                    yield tar, member
            except TAR_ERRORS as error:
                raise self._unreadable(error) from error

    def _content(self, tar: tarfile.TarFile, member: tarfile.TarInfo, most: int = -1) -> bytes:
        try:
            file = tar.extractfile(member)
            return b"" if file is None else file.read(most)
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


def _is_inside(folder: str, others: Iterable[str]) -> bool:
    return any(folder == other or folder.startswith(f"{other}/") for other in others)


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
