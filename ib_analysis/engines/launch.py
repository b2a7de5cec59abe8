"""Processes that were launched together (`accelerate launch`, `torchrun`): which of them does what, and when."""

from __future__ import annotations

import os
from datetime import timedelta

import torch
from accelerate import PartialState

from ib_analysis.artifacts import UserError
from ib_analysis.engines.launch_variables import check_gpus, check_launch_variables

__all__ = ["SHARED_STAGES", "Launch"]

SHARED_STAGES = ("base", "train teachers", "train", "fit")
"""Stages whose minibatches the processes share; the others are the main process's, and the rest wait."""


PATIENCE = timedelta(minutes=3)
"""How long processes that were started by hand wait for each other; a launcher looks after its own."""


class Launch:
    """The processes of one launch; a single process where nothing was launched.

    Attributes:
        count: number of processes.
        is_main: whether this is the one that writes.

    Raises:
        UserError: what the environment says of a launch cannot be (see `check_launch_variables`), there are more
            processes than GPUs, or the others did not come.
    """

    def __init__(self) -> None:
        self.count = check_launch_variables()
        self._state: PartialState | None = None
        if self.count > 1:
            check_gpus(torch.cuda.device_count() if torch.cuda.is_available() else 0)
            if not torch.distributed.is_initialized() and "TORCHELASTIC_RUN_ID" not in os.environ:
                self._store = _meet(self.count)
            # The others wait for as long as the main process measures.
            self._state = PartialState(cpu=not torch.cuda.is_available(), timeout=timedelta(days=30))
        self.is_main = self._state is None or self._state.is_main_process

    def wait(self) -> None:
        """Until all processes are here."""
        if self._state is not None:
            self._state.wait_for_everyone()


def _meet(count: int) -> torch.distributed.Store:
    """See that all processes are there, since whoever waits for one that nobody started would wait for days.

    Returns:
        What they met in; it is to be kept until they have met again, in torch's own.
    """
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        return torch.distributed.TCPStore(
            host, port, count, os.environ["RANK"] == "0", PATIENCE, wait_for_workers=True, multi_tenant=True
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise UserError(
            f"WORLD_SIZE is {count} in the environment, but the {count} processes did not meet at {host}:{port} within "
            f"{PATIENCE.total_seconds():g} seconds; start them together (torchrun, accelerate launch), or, if "
            "WORLD_SIZE, RANK and LOCAL_RANK are left over from another program, unset them."
        ) from error
