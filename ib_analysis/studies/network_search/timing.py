"""Time and energy of networks as they run here: interleaved rounds, medians, and a flag where they are unsteady."""

from __future__ import annotations

import platform
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.benchmark import Timer

from ib_analysis.studies.network_search.counters import EnergyCounter

__all__ = ["STEADY", "Timing", "device_name", "joules_per_call", "time_calls"]

STEADY = 0.10
"""The largest interquartile range, as a share of the median, of a measurement that is taken as it is."""
SHORTEST = 0.005
"""Seconds that one turn takes at least."""

Call = Callable[[], object]


@dataclass(frozen=True)
class Timing:
    """The time of one call.

    Arguments:
        median_ms, iqr_ms: median and interquartile range over rounds, milliseconds.
        rounds: how many.
        repeated: whether a first measurement was unsteady, and this is the second.
        flagged: whether this one is unsteady too.
    """

    median_ms: float
    iqr_ms: float
    rounds: int
    repeated: bool
    flagged: bool


def time_calls(calls: Mapping[str, Call], rounds: int, threads: int, seed: int = 0) -> dict[str, Timing]:
    """Time several calls by turns, by `torch.utils.benchmark`.

    In each round every call has its turn, of at least 5 ms, in an order drawn anew: what else the machine does meets
    all of them alike. Those whose interquartile range is above 10 % of the median are measured once more, together, and
    flagged if they still are.

    Arguments:
        calls: name -> what is timed; called once before.
        rounds: turns of each.
        threads: of torch, while a call is timed.
        seed: of the order.
    """
    found = _rounds(calls, rounds, threads, seed)
    unsteady = [name for name, timing in found.items() if timing.flagged]
    if unsteady:
        again = _rounds({name: calls[name] for name in unsteady}, rounds, threads, seed + 1)
        found |= {name: Timing(one.median_ms, one.iqr_ms, rounds, True, one.flagged) for name, one in again.items()}
    return found


def _rounds(calls: Mapping[str, Call], rounds: int, threads: int, seed: int) -> dict[str, Timing]:
    timers, turns = {}, {}
    with torch.inference_mode():
        for name, call in calls.items():
            call()  # whatever is compiled, is compiled now
            timers[name] = Timer("call()", globals={"call": call}, num_threads=threads)
            once = timers[name].timeit(1).median
            turns[name] = max(1, round(SHORTEST / max(once, 1e-9)))
        order, rng = list(calls), random.Random(seed)
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(rounds):
            rng.shuffle(order)
            for name in order:
                seconds[name].append(timers[name].timeit(turns[name]).median)
    return {name: _summed(values) for name, values in seconds.items()}


def _summed(seconds: list[float]) -> Timing:
    low, median, high = np.quantile(seconds, (0.25, 0.5, 0.75))
    return Timing(1e3 * float(median), 1e3 * float(high - low), len(seconds), False, bool(high - low > STEADY * median))


def joules_per_call(call: Call, counter: EnergyCounter, threads: int, seconds: float = 1.0) -> float:
    """What a counter advances by for one call, while it is called again and again; idle power is part of it.

    Arguments:
        counter: of the device that the call runs on.
        threads: of torch meanwhile.
        seconds: for how long, at least.
    """
    before_threads = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            call()
            count, began, start = 0, time.perf_counter(), counter.joules()
            while time.perf_counter() - began < seconds:
                call()
                count += 1
            return counter.advanced(start, counter.joules()) / count
    finally:
        torch.set_num_threads(before_threads)


def device_name() -> str:
    """The processor that times are measured on, as far as the system tells."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
