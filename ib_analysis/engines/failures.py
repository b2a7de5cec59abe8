"""What a user is told where numbers diverge, memory does not suffice or a process ends: a sentence each."""

from __future__ import annotations

import contextlib
import errno
import signal
from collections.abc import Iterator
from multiprocessing.process import BaseProcess

import torch

from ib_analysis.artifacts import UserError

__all__ = ["failures_explained", "loss_of_worker", "of_memory"]

GRACE_SECONDS = 10.0
"""How long a process that has closed its pipe may take to end, and with it to tell how."""


@contextlib.contextmanager
def failures_explained(what: str) -> Iterator[None]:
    """Numbers that diverge and memory that does not suffice are told in a sentence: the user can mend them.

    Arguments:
        what: whose they are, as the subject of a sentence (``The stage 'fit'``).

    Raises:
        UserError: in the place of either.
    """
    try:
        yield
    except FloatingPointError as error:
        raise UserError(f"{what} diverged: {error}") from error
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"{what} does not fit on the GPU, not even image by image; use a smaller network "
            "(decoder.filters, decoder.blocks), or free the GPU."
        ) from error
    except (MemoryError, RuntimeError, OSError) as error:
        if not of_memory(error):
            raise
        raise UserError(f"{what} ran out of memory; use --workers 1, fewer images, or a smaller network.") from error


def of_memory(error: BaseException) -> bool:
    """Whether an error says that the machine's memory does not suffice.

    numpy and Python have a MemoryError for it, the operating system an error number; torch's allocator for the CPU
    raises a plain RuntimeError that only its words tell from others (c10/core/impl/alloc_cpu.cpp).

    >>> of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory")), of_memory(RuntimeError("no such size"))
    (True, False)
    """
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def loss_of_worker(process: BaseProcess, began: bool, stage: str) -> UserError:
    """The sentence for a worker process that is gone.

    Arguments:
        began: whether it had come so far as to wait for work.
    """
    process.join(GRACE_SECONDS)
    code = process.exitcode
    if not began and code is not None and code > 0:
        return UserError(
            f"A worker process of the stage '{stage}' could not start, as the error above says; use one worker "
            "(--workers 1) if it cannot be mended."
        )
    again = "run the same command again to go on"
    if code == -signal.SIGKILL:
        return UserError(
            f"A worker process of the stage '{stage}' was killed (often for want of memory); {again}, with --workers 1 "
            "if memory is short."
        )
    if code is not None and code < 0:
        return UserError(f"A worker process of the stage '{stage}' was ended by {_name(-code)}; {again}.")
    return UserError(f"A worker process of the stage '{stage}' ended (exit code {code}); {again}.")


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
