"""Import matplotlib whatever MPLBACKEND says: a figure is written by the canvas of its file's format (Agg, SVG).

A kernel of a notebook sets MPLBACKEND for everything that is started from it, and matplotlib cannot be imported with
the name of a backend that is not installed where it is imported.
"""

from __future__ import annotations

import contextlib
import os
import sys

__all__: list[str] = []


def _import_matplotlib() -> None:
    if "matplotlib" in sys.modules:
        return
    chosen = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if chosen is not None:
            os.environ["MPLBACKEND"] = chosen
    if chosen:
        with contextlib.suppress(ValueError):
            # As matplotlib itself would have done: who draws figures of his own beside ours has his backend.
            matplotlib.rcParams["backend"] = chosen


_import_matplotlib()
