"""The bottom floor: hashes, atomic writes, completeness and provenance of everything that is kept on disk.

An *artifact* is one file with a manifest beside it (``<file>.json``). The manifest records the config and seed that
made the file, the hashes of the inputs, the versions of the libraries and, once the file is whole, its own hash.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import io
import json
import os
import platform
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import torch

__all__ = [
    "Artifact",
    "UserError",
    "atomic_path",
    "explained",
    "load_tensors",
    "plain",
    "save_tensors",
    "sha256_of_array",
    "sha256_of_file",
    "sha256_of_plain",
    "versions",
    "write_atomically",
    "write_text",
]


class UserError(Exception):
    """A mistake that the user can mend: one sentence that says what is wrong, where, and what to do."""


# ---------------------------------------------------------------------------------------------- hashes


def plain(value: Any) -> Any:
    """Turn dataclasses, tuples, paths and numpy scalars into plain JSON data.

    >>> plain({"a": (1, 2), "b": Path("x")})
    {'a': [1, 2], 'b': 'x'}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    return value


def sha256_of_plain(value: Any) -> str:
    """Hash plain data through its canonical JSON text: the order of keys does not matter.

    >>> sha256_of_plain({"a": 1, "b": 2}) == sha256_of_plain({"b": 2, "a": 1})
    True
    """
    text = json.dumps(plain(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_of_array(array: np.ndarray) -> str:
    """Hash an array's dtype, shape and content."""
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def sha256_of_file(path: Path) -> str:
    """Hash a file's bytes; reads in blocks, so any size fits in memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that the numbers depend on."""
    names = ("torch", "torchvision", "numpy", "scipy", "h5py", "accelerate", "scikit-learn", "ib-analysis")
    found = {"python": platform.python_version()}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


# ---------------------------------------------------------------------------------------------- writing


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
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise explained(error, path) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


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


def save_tensors(path: Path, state: Mapping[str, Any]) -> None:
    """Save tensors, numbers, strings and containers of them, atomically.

    Put together in memory: torch's own writer turns a full disk into an error that does not say so, and the bytes
    would depend on the file's name.

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    content = io.BytesIO()
    torch.save(dict(state), content)
    with write_atomically(path) as file:
        file.write(content.getbuffer())


def load_tensors(path: Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Load what `save_tensors` wrote; never executes anything that the file holds.

    Raises:
        UserError: the file is missing, damaged, or holds more than plain tensors.
    """
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run the stage that makes it again.") from error
    except Exception as error:
        raise UserError(
            f"{path} cannot be read (it is truncated, altered, or not a file of tensors); delete it and run the "
            "same command again to make it anew."
        ) from error


# ---------------------------------------------------------------------------------------------- manifests

Status = Literal["missing", "partial", "damaged", "complete"]


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A file and the record of how it was made.

    Arguments:
        path: the file; its manifest is ``<path>.json``.
        kind: what it is, in one word (``encoder``, ``activations``, ...).
        config: plain data: everything chosen by the user that the content depends on.
        inputs: name -> `identity` of each artifact or data set that it was made from.
        seed: the seed, where there is one.
    """

    path: Path
    kind: str
    config: Mapping[str, Any]
    inputs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    seed: int | None = None

    @property
    def manifest_path(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    @property
    def recipe(self) -> dict[str, Any]:
        """Config, inputs and seed as plain data: two artifacts with one recipe have the same content."""
        return {
            "kind": self.kind,
            "config": plain(self.config),
            "inputs": dict(self.inputs),
            "seed": self.seed,
        }

    def manifest(self) -> dict[str, Any] | None:
        """The record on disk, or None where there is none that can be read."""
        try:
            found = json.loads(self.manifest_path.read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and isinstance(found.get("recipe"), dict) else None

    def check(self) -> None:
        """Refuse to touch a file that another config made.

        Raises:
            UserError: the manifest on disk tells of another config or seed; the sentence names what differs.
        """
        found = self.manifest()
        if found is None:
            return
        ours, theirs = self.recipe, found["recipe"]
        changes = _differences(theirs.get("config"), ours["config"])
        if theirs.get("seed") != ours["seed"]:
            changes.append(f"seed was {theirs.get('seed')}, now {ours['seed']}")
        if changes:
            shown = "; ".join(changes[:4]) + (f"; and {len(changes) - 4} more" if len(changes) > 4 else "")
            raise UserError(
                f"{self.path} was made with another config ({shown}); give this experiment another name "
                "(--name NEW_NAME), change the config back, or remove the old one (make clean EXPERIMENT=...)."
            )

    def begin(self) -> None:
        """Record the recipe before the work starts, so that a resumed run can tell whose part it finds.

        Raises:
            UserError: another config made what is there already.
        """
        self.check()
        found = self.manifest()
        if found is None or found["recipe"] != self.recipe or found.get("complete"):
            self._write({"complete": False})

    def finish(self, identity: str | None = None, **facts: Any) -> str:
        """Record that the file is whole, and return its identity.

        Arguments:
            identity: a hash of the content, where the bytes may differ for equal content (HDF5 written in another
                order); by default the file's own SHA-256.
            facts: further plain data for the reader of the manifest.
        """
        digest = sha256_of_file(self.path)
        self._write({"complete": True, "sha256": digest, "identity": identity or digest, **facts})
        return identity or digest

    def status(self) -> Status:
        """What is on disk: nothing, an interrupted or outdated part, a damaged file, or the whole artifact.

        ``partial`` also means: made from other inputs (an input was made again and came out different).
        """
        found = self.manifest()
        if found is None:
            return "missing"
        if found["recipe"] != self.recipe or not found.get("complete"):
            return "partial"
        if not self.path.exists() or sha256_of_file(self.path) != found.get("sha256"):
            return "damaged"
        return "complete"

    @property
    def record(self) -> dict[str, Any]:
        """The manifest of the finished artifact, with the facts that `finish` was told.

        Raises:
            UserError: the artifact is not complete.
        """
        found = self.manifest()
        if found is None or not found.get("complete"):
            raise UserError(f"{self.path} is not finished; run the stage that makes it first.")
        return found

    @property
    def identity(self) -> str:
        """The hash of the finished content.

        Raises:
            UserError: the artifact is not complete.
        """
        return str(self.record["identity"])

    def _write(self, facts: Mapping[str, Any]) -> None:
        record = {**facts, "recipe": self.recipe, "versions": versions()}
        write_text(self.manifest_path, json.dumps(record, indent=1, sort_keys=True) + "\n")


def _differences(old: Any, new: Any, where: str = "") -> list[str]:
    """Sentences like ``encoder.width was 16, now 32``."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in sorted({*old, *new}):
            found += _differences(old.get(key), new.get(key), f"{where}.{key}" if where else key)
        return found
    return [] if old == new else [f"{where or 'config'} was {old}, now {new}"]
