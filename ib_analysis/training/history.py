"""``training.csv``: loss and quality of every epoch, in training and on held-out images."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ib_analysis.artifacts import write_text

__all__ = ["COLUMNS", "write_history"]

COLUMNS = ("epoch", "split", "loss", "accuracy", "psnr_db")


def write_history(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the table, one row per epoch and split, unless the file has this content already.

    Arguments:
        path: the file.
        rows: dictionaries with the keys of `COLUMNS`; a quality that the task does not have is left out.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    if not path.exists() or path.read_text() != text.getvalue():
        write_text(path, text.getvalue())
