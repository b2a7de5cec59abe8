"""With which libraries, and how many threads, artifacts are made; what is said where they are used with others."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import Any

import torch

from ib_analysis.artifacts.notices import tell_once

__all__ = ["origin", "tell_other_origin", "versions"]

OURS = "ib-analysis"
"""The one version that says nothing about results: the numbers of algorithms do (see `ALGORITHMS`)."""


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that the numbers depend on."""
    names = ("torch", "torchvision", "numpy", "scipy", "h5py", "accelerate", "scikit-learn", OURS)
    found = {"python": platform.python_version()}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def origin() -> dict[str, Any]:
    """What a manifest records of the process that writes it, beside the recipe."""
    return {"versions": versions(), "threads": torch.get_num_threads()}


def tell_other_origin(record: Mapping[str, Any]) -> None:
    """Say, once in a command, that an artifact which is used again was made with other libraries or threads.

    Arguments:
        record: its manifest; what one of an earlier version does not tell, is not compared.
    """
    then, now = record.get("versions", {}), versions()
    changed = [
        f"{name} {then[name]} (now {now[name]})"
        for name in now
        if name != OURS and name in then and _relevant(name, then[name]) != _relevant(name, now[name])
    ]
    if changed:
        tell_once(
            "versions",
            f"Artifacts that are used again were made with {', '.join(changed)}; what is made now may differ from them "
            "by rounding and what grows of it. For one set of versions throughout, give the experiment another name.",
        )
    threads = record.get("threads", torch.get_num_threads())
    if threads != torch.get_num_threads():
        tell_once(
            "threads",
            f"Artifacts that are used again were made with threads: {threads} (now {torch.get_num_threads()}); what is "
            "made now differs from them by rounding and what grows of it. To go on as it was begun, use "
            f"--threads {threads}.",
        )


def _relevant(name: str, version: str) -> str:
    """The part of a version that numbers may depend on: not that of Python's corrections, which compute nothing."""
    return ".".join(version.split(".")[:2]) if name == "python" else version
