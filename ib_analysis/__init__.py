"""An information microscope for ResNets: what deep networks keep and forget, in bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ib_analysis.results import Results, load_results

if TYPE_CHECKING:
    from ib_analysis.recording import list_taps, record
    from ib_analysis.scripting import study

__all__ = ["Results", "list_taps", "load_results", "record", "study"]


def __getattr__(name: str) -> Any:
    """`list_taps`, `record` and `study`, imported where they are asked for: they need torch, which reading results does
    not."""
    if name in ("list_taps", "record"):
        from ib_analysis import recording

        return getattr(recording, name)
    if name == "study":
        from ib_analysis.scripting import study

        return study
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
