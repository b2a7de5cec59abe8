"""The record beside every file of how it was made, and what it tells of the file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ib_analysis.artifacts.algorithms import ALGORITHMS, number_of
from ib_analysis.artifacts.errors import UserError
from ib_analysis.artifacts.hashes import plain, sha256_of_file, sha256_of_plain
from ib_analysis.artifacts.notices import tell_once
from ib_analysis.artifacts.origins import origin, tell_other_origin
from ib_analysis.artifacts.recipes import changes, defaults_of
from ib_analysis.artifacts.writing import write_text

__all__ = ["Artifact", "Status"]

Status = Literal["missing", "partial", "damaged", "complete"]


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A file and the record of how it was made.

    Arguments:
        path: the file; its manifest is ``<path>.json``.
        kind: what it is, in one word (``encoder``, ``activations``, ...).
        config: everything chosen by the user that the content depends on: plain data, config dataclasses, `Setting`.
        inputs: name -> `identity` of each artifact or data set that it was made from.
        seed: the seed, where there is one.
        algorithm: name in `ALGORITHMS` of what makes it; empty: the kind's.
    """

    path: Path
    kind: str
    config: Mapping[str, Any]
    inputs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    seed: int | None = None
    algorithm: str = ""

    @property
    def manifest_path(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    @property
    def number(self) -> int:
        """Number of the algorithm that makes it now; 1 for a kind that the table does not list."""
        return ALGORITHMS.get(self.algorithm or self.kind, 1)

    @property
    def recipe(self) -> dict[str, Any]:
        """Config, inputs, seed and algorithm as plain data: two artifacts with one recipe have the same content.

        The first algorithm goes without saying, as in manifests from before there were numbers.
        """
        recipe = {"kind": self.kind, "config": plain(self.config), "inputs": dict(self.inputs), "seed": self.seed}
        return recipe if self.number == 1 else {**recipe, "algorithm": self.number}

    def manifest(self) -> dict[str, Any] | None:
        """The record on disk, or None where there is none that can be read."""
        try:
            found = json.loads(self.manifest_path.read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and isinstance(found.get("recipe"), dict) else None

    def check(self) -> None:
        """Refuse to touch a file that another config made. One that another algorithm made is no such file.

        Raises:
            UserError: the manifest on disk tells of another config or seed; the sentence names what differs.
        """
        found = self.manifest()
        if found is None:
            return
        differing = self._changes(found)
        if found["recipe"].get("seed") != self.seed:
            differing.append(f"seed was {found['recipe'].get('seed')}, now {self.seed}")
        if differing:
            shown = "; ".join(differing[:4]) + (f"; and {len(differing) - 4} more" if len(differing) > 4 else "")
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
        if found is None or not self._is_of(found) or found.get("complete"):
            self._write({"complete": False})

    @property
    def begun(self) -> str:
        """Hash by which work in progress is recognised: of the recipe under which it was begun, after `begin`.

        Not simply that of `recipe`: a version of the program that knows further settings goes on with what an earlier
        one began, if these have their defaults.
        """
        found = self.manifest()
        return sha256_of_plain(self.recipe if found is None or not self._is_of(found) else found["recipe"])

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

        ``partial`` also means: made from other inputs (an input was made again and came out different), or by another
        algorithm, which is said once in a command, as it is that other libraries or threads made what is complete.
        """
        found = self.manifest()
        if found is None:
            return "missing"
        if self.is_outdated and found.get("complete"):
            name = self.algorithm or self.kind
            tell_once(
                f"algorithm of {name}",
                f"{self.path} was made by another version of the program (algorithm {number_of(found['recipe'])} of "
                f"'{name}', now {self.number}), whose results differ; it is made again, and so are all others like it.",
            )
        if not self._is_of(found) or not found.get("complete"):
            return "partial"
        if not self._holds(found):
            return "damaged"
        tell_other_origin(found)
        return "complete"

    @property
    def is_whole(self) -> bool:
        """Whether this very artifact is on disk, complete and undamaged, wherever it was made; says nothing."""
        found = self.manifest()
        return found is not None and self._is_of(found) and bool(found.get("complete")) and self._holds(found)

    def _holds(self, found: Mapping[str, Any]) -> bool:
        """Whether the file is the one that a manifest tells of."""
        return self.path.exists() and sha256_of_file(self.path) == found.get("sha256")

    @property
    def is_outdated(self) -> bool:
        """Whether what is on disk was made, or begun, by another algorithm."""
        found = self.manifest()
        return found is not None and number_of(found["recipe"]) != self.number

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

    def _changes(self, found: Mapping[str, Any]) -> list[str]:
        return changes(self.config, found["recipe"].get("config"), found.get("defaults", {}))

    def _is_of(self, found: Mapping[str, Any]) -> bool:
        """Whether a manifest tells of this recipe."""
        recipe = found["recipe"]
        mine = (self.kind, dict(self.inputs), self.seed, self.number)
        theirs = (recipe.get("kind"), recipe.get("inputs"), recipe.get("seed"), number_of(recipe))
        return mine == theirs and not self._changes(found)

    def _write(self, facts: Mapping[str, Any]) -> None:
        record = {**facts, "recipe": self.recipe, "defaults": defaults_of(self.config), **origin()}
        write_text(self.manifest_path, json.dumps(record, indent=1, sort_keys=True) + "\n")
