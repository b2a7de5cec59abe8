"""Which folders hold what `ib` itself wrote: they may lie among a user's images, and are never read as a class."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

from ib_analysis.data.decoding import SUFFIXES

__all__ = ["first_of_each_kind", "is_own", "kind_of_evidence"]

# What torchvision unpacks for the sources cifar10 and cifar100.
DOWNLOADED = ("cifar-10-batches-py", "cifar-100-python")


def kind_of_evidence(name: str) -> str | None:
    """Whether a file may tell that its folder is ours, and how; None if not.

    >>> kind_of_evidence("encoder.pt.json"), kind_of_evidence("plane.svg"), kind_of_evidence("labels.json")
    ('manifest', 'figure', None)
    """
    if name == "drawn.json":
        return "drawn"
    if name.endswith(".svg"):
        return "figure"
    return "manifest" if name.endswith(".json") and "." in name.removesuffix(".json") else None


def first_of_each_kind(names: Collection[str]) -> list[str]:
    """The files to be read for `is_own`: a folder with a note beside each of a million images must not cost more.

    >>> first_of_each_kind(["1.png", "1.png.json", "2.png.json"])
    ['1.png.json']
    """
    found: dict[str, str] = {}
    for name in sorted(names):
        kind = kind_of_evidence(name)
        if kind is not None and (kind != "manifest" or name.removesuffix(".json") in names):
            found.setdefault(kind, name)
    return list(found.values())


def is_own(folder: str, names: Collection[str], contents: Mapping[str, bytes]) -> bool:
    """Whether a folder is one that `ib` writes into: packed images, artifacts with manifests, an experiment, figures.

    A folder is not ours for its name, which a class may have, but for what it holds.

    Arguments:
        folder: its name.
        names: of the files directly in it.
        contents: file -> its beginning or all of it, for the first file of each `kind_of_evidence`.
    """
    if folder in DOWNLOADED and any("batch" in name or name == "meta" for name in names):
        return True
    if {"data.json", "splits.h5"} <= set(names):
        return True
    return any(_tells(name, content, names) for name, content in contents.items())


def _tells(name: str, content: bytes, names: Collection[str]) -> bool:
    kind = kind_of_evidence(name)
    if kind == "figure":
        # `plots` writes each figure as PNG and SVG, and takes the date out, which matplotlib would write.
        pictures = {PurePosixPath(other).stem for other in names if other.lower().endswith(SUFFIXES)}
        drawn = {PurePosixPath(other).stem for other in names if other.endswith(".svg")}
        return pictures == drawn and b"Matplotlib" in content and b"<dc:date>" not in content
    try:
        found = json.loads(content)
    except ValueError:
        return False
    if not isinstance(found, dict):
        return False
    if kind == "drawn":
        return any(isinstance(part, dict) and {"sources", "files"} <= set(part) for part in found.values())
    return {"recipe", "versions"} <= set(found)
