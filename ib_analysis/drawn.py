"""What has been drawn from which artifacts: a figure is made again only where they, or what draws them, changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from ib_analysis.artifacts import sha256_of_file, write_text
from ib_analysis.artifacts.algorithms import ALGORITHMS

__all__ = ["draw_unless_drawn", "show_paths"]

RECORD = "drawn.json"


def draw_unless_drawn(
    folder: Path, kind: str, sources: Iterable[Path], draw: Callable[[], Iterable[Path]]
) -> list[Path]:
    """Draw, unless the files of the last time are still there and were drawn from the same sources.

    Kept in ``drawn.json`` in the folder of the figures: per kind, the hashes of what was drawn from and the paths of
    what was written.

    Arguments:
        folder: of the figures.
        kind: what is drawn, one name for all its files.
        sources: what it is drawn from; those that do not exist count as absent.
        draw: draws, and returns the paths of all that it wrote.

    Returns:
        The paths of all that is drawn, in the order in which it was written.

    Raises:
        UserError: the folder cannot be written, or the disk is full; whatever `draw` raises.
    """
    record = folder / RECORD
    made_from = {str(path): sha256_of_file(path) for path in sources if path.exists()}
    made_from |= {"matplotlib": metadata.version("matplotlib"), "algorithm": str(ALGORITHMS["figures"])}
    known = _read(record)
    drawn = known.get(kind, {})
    if drawn.get("sources") != made_from or not all(Path(path).exists() for path in drawn.get("files", [""])):
        drawn = {"sources": made_from, "files": [str(path) for path in draw()]}
        write_text(record, json.dumps({**known, kind: drawn}, indent=1) + "\n")
    return [Path(path) for path in drawn["files"]]


def show_paths(paths: Iterable[Path]) -> None:
    """Print where figures are; every one has an SVG beside its PNG, which is not named."""
    for path in paths:
        if path.suffix != ".svg":
            print(path)


def _read(record: Path) -> dict[str, Any]:
    try:
        found = json.loads(record.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
