"""Processes that were launched together (`accelerate launch`, `torchrun`): which of them does what, and when."""

from __future__ import annotations

import os
from datetime import timedelta

import torch
from accelerate import PartialState

__all__ = ["SHARED_STAGES", "Launch"]

SHARED_STAGES = ("train", "fit")
"""Stages whose minibatches the processes share; the others are the main process's, and the rest wait."""


class Launch:
    """The processes of one launch; a single process where nothing was launched.

    Attributes:
        count: number of processes.
        is_main: whether this is the one that writes.
    """

    def __init__(self) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self._state: PartialState | None = None
        if self.count > 1:
            # The others wait for as long as the main process measures.
            self._state = PartialState(cpu=not torch.cuda.is_available(), timeout=timedelta(days=30))
        self.is_main = self._state is None or self._state.is_main_process

    def wait(self) -> None:
        """Until all processes are here."""
        if self._state is not None:
            self._state.wait_for_everyone()
