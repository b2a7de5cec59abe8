"""``training.csv``: loss and quality of every epoch, in training and on held-out images."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ib_analysis.artifacts import UserError, write_text

__all__ = ["COLUMNS", "FURTHER_COLUMNS", "final_accuracy", "holds_history", "write_history"]

COLUMNS = ("epoch", "split", "loss", "accuracy", "psnr_db")
FURTHER_COLUMNS = ("classification_loss", "reconstruction_loss", "classification_weight", "fallbacks", "stationarity")
"""Of networks that are trained for both tasks: their losses, the mean weight of the first one in the epoch's steps as a
share, how often no weights were found since training began, and the mean over the epoch's batches of the shortest
convex combination of both gradients of the trunk, in units of the longer one: 0 where they cancel, as they do at a
Pareto point (a batch's noise keeps it above), or where one vanishes."""


def write_history(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the table, one row per epoch and split, unless the file has this content already.

    Arguments:
        path: the file.
        rows: dictionaries with the keys of `COLUMNS`, and of `FURTHER_COLUMNS` where any row has one; a quality that
            the task does not have is left out.
    """
    text = io.StringIO()
    further = FURTHER_COLUMNS if any(name in row for row in rows for name in FURTHER_COLUMNS) else ()
    writer = csv.DictWriter(text, COLUMNS + further, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    if _read(path) != text.getvalue().encode():
        write_text(path, text.getvalue())


def holds_history(path: Path, last_epoch: int) -> bool:
    """Whether the file is a table with the right header that goes up to an epoch."""
    lines = (_read(path) or b"").split(b"\n")
    earlier = COLUMNS + FURTHER_COLUMNS[:-1]  # before there was a stationarity
    headers = [",".join(names).encode() for names in (COLUMNS, earlier, COLUMNS + FURTHER_COLUMNS)]
    last = f"{last_epoch},".encode()
    return len(lines) > 2 and lines[0] in headers and lines[-2].startswith(last) and not lines[-1]


def final_accuracy(path: Path) -> float | None:
    """Accuracy on the held-out images after the last epoch, 0 to 1; None where the task has none.

    Raises:
        UserError: there is no such table, or it cannot be read.
    """
    try:
        rows = [row for row in csv.DictReader(path.read_text().splitlines()) if row["split"] == "evaluation"]
        last = max(rows, key=lambda row: int(row["epoch"]))
        return float(last["accuracy"]) if last["accuracy"] else None
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error}); run `ib train` again.") from error


def _read(path: Path) -> bytes | None:
    """The file's bytes; None where there is none or it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None
