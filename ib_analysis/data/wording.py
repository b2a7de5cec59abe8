"""How names of files are told: in any writing system, on any terminal, and not by the thousand."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

__all__ = ["SHOWN", "enumerated", "printable"]

SHOWN = 10


def enumerated(names: Sequence[str], separator: str = ", ") -> str:
    """The first ten of some names, and how many more there are.

    >>> enumerated(["a", "b"]), enumerated([f"{i}" for i in range(12)])
    ('a, b', '0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more')
    """
    more = len(names) - SHOWN
    return separator.join(map(printable, names[:SHOWN])) + (f" and {more} more" if more > 0 else "")


def printable(name: str) -> str:
    r"""A file's name as text that can be printed and saved as UTF-8, in Unicode's composed form (NFC).

    macOS spells accents apart from their letters (NFD), Linux mostly does not: both spellings are one name. Bytes that
    are no UTF-8, which Python keeps as surrogates, are written out.

    >>> printable("cafe\u0301") == "caf\u00e9", printable("caf\udce9")
    (True, 'caf\\xe9')
    """
    text = unicodedata.normalize("NFC", name)
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
