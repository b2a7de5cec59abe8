"""What a user chooses about stream ablation."""

from __future__ import annotations

from dataclasses import dataclass

from ib_analysis.artifacts import UserError
from ib_analysis.encoders import STREAMS

__all__ = ["StreamAblationConfig"]


@dataclass(frozen=True)
class StreamAblationConfig:
    """Which streams are set to zero, and when.

    Raises:
        UserError: a stream that does not exist, or an epoch before the first.
    """

    streams: tuple[str, ...] = STREAMS
    """Streams that are set to zero, each on its own: residual, transient."""
    epochs: tuple[int, ...] = ()
    """Epochs of the encoders that are looked at; empty: the last."""

    def __post_init__(self) -> None:
        for stream in self.streams:
            if stream not in STREAMS:
                raise UserError(
                    f"stream-ablation.streams names {stream!r}, a stream that does not exist; choose from "
                    f"{', '.join(STREAMS)}."
                )
        if not self.streams or len(set(self.streams)) != len(self.streams):
            raise UserError(f"stream-ablation.streams is {list(self.streams)}; give at least one stream, each once.")
        if any(epoch < 0 for epoch in self.epochs):
            raise UserError(f"stream-ablation.epochs is {list(self.epochs)}; epochs are counted from 0.")
