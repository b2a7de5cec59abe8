"""Verdicts of dominance as sentences."""

from __future__ import annotations

from collections.abc import Sequence

from ib_analysis.studies.cost_quality.rows import COST_MODELS, DominanceRow

__all__ = ["verdict_sentences"]


def verdict_sentences(rows: Sequence[DominanceRow]) -> list[str]:
    """One sentence per cost model that has any: who dominates whom, then all other pairs.

    Arguments:
        rows: both orders of every pair.
    """
    found = []
    for model, name in COST_MODELS.items():
        verdicts = {(row.format_a, row.format_b): row.verdict for row in rows if row.cost_model == model}
        if verdicts:
            found.append(f"By {name}, {'; '.join(_clauses(verdicts))}.")
    return found


def _clauses(verdicts: dict[tuple[str, str], str]) -> list[str]:
    formats = list(dict.fromkeys(first for first, _ in verdicts))
    dominated = {a: [b for b in formats if verdicts.get((a, b)) == "yes"] for a in formats}
    clauses = [f"{a} dominates {_listed(others)}" for a, others in dominated.items() if others]
    rest: dict[str, list[str]] = {}
    for place, a in enumerate(formats):
        for b in formats[place + 1 :]:
            there, back = verdicts[a, b], verdicts[b, a]
            if "yes" not in (there, back):
                rest.setdefault(_relation(there, back), []).append(_pair(a, b, there, back))
    return clauses + [f"{relation}: {', '.join(pairs)}" for relation, pairs in rest.items()]


def _relation(there: str, back: str) -> str:
    if "no overlap" in (there, back):
        return "no common cost"
    if (there, back) == ("no", "no"):
        return "each is better somewhere"
    return "better somewhere, undecided elsewhere" if "no" in (there, back) else "undecided"


def _pair(a: str, b: str, there: str, back: str) -> str:
    """The better one first, where only one is known to be better somewhere."""
    if (there, back) == ("no", "undecided"):
        return f"{b} than {a}"
    return f"{a} than {b}" if (there, back) == ("undecided", "no") else f"{a} and {b}"


def _listed(words: Sequence[str]) -> str:
    """
    >>> _listed(["a"]), _listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
