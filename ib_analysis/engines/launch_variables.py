"""What a launcher says in the environment, checked before anybody acts on it: it may be left over from another program.

`torchrun` sets all of `RENDEZVOUS` (https://docs.pytorch.org/docs/stable/elastic/run.html, "Environment Variables"),
and so does `accelerate launch`. Of a part of them accelerate makes what it can: it waits for processes that nobody
started, or ends with a traceback.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ib_analysis.artifacts import UserError

__all__ = ["RENDEZVOUS", "check_gpus", "check_launch_variables"]

RENDEZVOUS = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
_NUMBERS = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_PORT")
_OF_MPI = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
_UNSUPPORTED = ("ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_FSDP", "ACCELERATE_USE_MEGATRON_LM")
_REMEDY = "start the command by torchrun or accelerate launch, or, if they are left over from another program,"


def check_launch_variables(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes were launched together; 1 where nothing was launched.

    Raises:
        UserError: a variable of a launcher is no number or contradicts another, some of them are missing, or they ask
            for what is not supported (MPI, DeepSpeed, FSDP, Megatron-LM).
    """
    for name in _UNSUPPORTED:
        if environment.get(name, "").lower() in ("1", "true", "yes", "on"):
            kind = name.removeprefix("ACCELERATE_USE_")
            raise UserError(
                f"{name} is set in the environment, and fits are shared by plain data parallelism alone; launch "
                f"without {kind} (another config of accelerate launch), or unset {name}."
            )
    there = {name: environment[name] for name in RENDEZVOUS if environment.get(name)}
    numbers = {name: _number(name, there[name]) for name in _NUMBERS if name in there}
    count = numbers.get("WORLD_SIZE", 1)
    if count > 1 or "LOCAL_RANK" in numbers:  # what accelerate takes for a launch
        missing = [name for name in RENDEZVOUS if name not in there]
        if missing:
            raise UserError(
                f"{_listed(there)} in the environment, as by a launcher of processes, but not {', '.join(missing)}; "
                f"{_REMEDY} unset {', '.join(there)}."
            )
        if count < 1 or not 0 <= numbers["RANK"] < count:
            raise UserError(
                f"RANK is {there['RANK']} and WORLD_SIZE is {there['WORLD_SIZE']} in the environment, and processes "
                f"are counted from 0 to WORLD_SIZE - 1; {_REMEDY} unset {', '.join(there)}."
            )
        return count
    for name in _OF_MPI:
        if environment.get(name) and _number(name, environment[name]) > 1:
            raise UserError(
                f"{name} is {environment[name]} in the environment: processes launched by MPI cannot share a fit; use "
                f"torchrun or accelerate launch, or, if it is left over from another program, unset {name}."
            )
    return 1


def check_gpus(gpus: int, environment: Mapping[str, str] = os.environ) -> None:
    """See that every process that was launched on this machine has a GPU of its own.

    Two on one would end with a message of NCCL's, and not be faster.

    Arguments:
        gpus: GPUs of this machine that may be used; with none, processes share the CPU.

    Raises:
        UserError: there are fewer GPUs than processes.
    """
    if not gpus or environment.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes", "on"):
        return
    name = next((name for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE") if environment.get(name)), None)
    count = 1 if name is None else _number(name, environment[name])
    rank = _number("LOCAL_RANK", environment.get("LOCAL_RANK") or "0")
    # Without LOCAL_WORLD_SIZE the others may be on other machines.
    if rank >= gpus or (name == "LOCAL_WORLD_SIZE" and count > gpus):
        raise UserError(
            f"{max(count, rank + 1)} processes were launched on a machine with {gpus} GPU{'s' * (gpus > 1)}, and each "
            "needs one of its own; launch as many as there are GPUs (--nproc_per_node, --num_processes), or hide the "
            "GPUs (CUDA_VISIBLE_DEVICES=) to share the CPU."
        )


def _number(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise UserError(
            f"{name} is {value!r} in the environment, where a launcher of processes puts a whole number; unset {name}, "
            "or start the command by torchrun or accelerate launch."
        ) from error


def _listed(there: Mapping[str, str]) -> str:
    return ", ".join(there) + (" is" if len(there) == 1 else " are") + " set"
