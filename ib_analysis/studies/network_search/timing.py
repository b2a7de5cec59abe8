"""Time and energy of networks as they run here: interleaved rounds, medians, and a flag where they are unsteady."""

from __future__ import annotations

import platform
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

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


def time_calls(
    calls: Mapping[str, Call], rounds: int, threads: int, seed: int = 0, reference: str | None = None
) -> dict[str, Timing]:
    """Time several calls by turns, by `torch.utils.benchmark`.

    In each round every call has its turn, of at least 5 ms, in an order drawn anew: what else the machine does meets
    all of them alike. If the interquartile range of any is above 10 % of its median, all take their turns once more,
    and the unsteady ones have their times from these, flagged if they still are.

    Arguments:
        calls: name -> what is timed; called once before.
        rounds: turns of each.
        threads: of torch, while a call is timed.
        seed: of the order.
        reference: name of one that the others are compared with: if there are second rounds, it has its time from them.
    """
    found = _rounds(calls, rounds, threads, seed)
    unsteady = [name for name, timing in found.items() if timing.flagged]
    if unsteady:
        again = _rounds(calls, rounds, threads, seed + 1)
        found |= {
            name: replace(again[name], repeated=True) for name in {*unsteady, *([reference] if reference else [])}
        }
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


def joules_per_call(
    call: Call, counter: EnergyCounter, threads: int, seconds: float = 1.0, wait: Call = lambda: None
) -> float:
    """What a counter advances by for one call, while it is called again and again; idle power is part of it.

    Arguments:
        counter: of the device that the call runs on.
        threads: of torch meanwhile.
        seconds: for how long, at least.
        wait: returns when all that was begun is done (of a GPU, whose calls return before: `torch.cuda.synchronize`).
    """
    before_threads = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            call()
            wait()
            count, began, start = 0, time.perf_counter(), counter.reading()
            while time.perf_counter() - began < seconds:
                call()
                count += 1
            wait()
            return counter.advanced(start, counter.reading()) / count
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
