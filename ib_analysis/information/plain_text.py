"""Columns of plain text for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["align"]


def align(lines: Sequence[Sequence[str]]) -> list[str]:
    """Columns of text, two spaces apart, left-aligned, with a rule below the first line.

    >>> print("\\n".join(align([["layer", "bits"], ["h1", "12.5"]])))
    layer  bits
    -----------
    h1     12.5
    """
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    padded = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return [padded[0], "-" * max(map(len, padded)), *padded[1:]]
