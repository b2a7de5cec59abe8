"""Units of work side by side in a few processes, each with a progress bar; nothing outlives a killed parent."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from ib_analysis.artifacts import UserError, silent
from ib_analysis.engines.failures import failures_explained, loss_of_worker
from ib_analysis.engines.locks import exclusive

__all__ = [
    "WORKER_LOCK",
    "Progress",
    "ProgressBars",
    "Unit",
    "Workers",
    "attempt",
    "clear_remains",
    "exclusive",
    "remove_parts",
    "result_of",
]

Progress = Callable[[int, int, dict[str, float]], None]
"""progress(done, total, figures): figures are the numbers that matter to whoever watches."""

WORKER_LOCK = ".worker{}.lock"
IN_NOTEBOOK = any(kind.__module__ == "tqdm.notebook" for kind in tqdm.__mro__)
"""Whether bars are a notebook's."""


@dataclass(frozen=True)
class Unit:
    """A call ``function(*arguments, progress=...)``; function and arguments must be picklable."""

    label: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def clear_remains(folder: Path) -> None:
    """Wait for the workers of a killed command to end, and remove what its interrupted writes left.

    To be called by whoever holds the folder's lock.
    """
    for lock in sorted(folder.glob(WORKER_LOCK.format("*"))):
        with exclusive(lock, f"{folder} (a worker)", patience=30.0):
            pass
    remove_parts(folder)


def remove_parts(folder: Path) -> None:
    """Remove what interrupted writes left; to be called when nobody is writing in the folder."""
    for part in folder.rglob(".*.part*"):
        part.unlink(missing_ok=True)


class Workers:
    """Runs units in ``count`` processes that live until the block ends; with one, in this process.

    Arguments:
        threads: threads of each process, fixed so that numbers do not depend on the machine's load.
        locks: folder for the workers' lock files: a worker that outlives a killed parent by a moment holds off its
            successor until it is gone.
        quiet: show no progress bars.
    """

    def __init__(self, count: int, threads: int, locks: Path, quiet: bool = False) -> None:
        self.count, self.threads, self.locks, self.quiet = count, threads, locks, quiet
        self._processes: list[tuple[BaseProcess, Connection]] = []
        self._begun: set[Connection] = set()

    def __enter__(self) -> Workers:
        torch.set_num_threads(self.threads)
        return self

    def __exit__(self, *exception: object) -> None:
        for process, connection in self._processes:
            connection.close()
            process.terminate()
        for process, _ in self._processes:
            process.join()
        self._processes.clear()
        self._begun.clear()

    def run(self, stage: str, units: Sequence[Unit]) -> list[Any]:
        """Run all units and return their results in order.

        Raises:
            UserError: a unit met a user's mistake; the others are stopped, what they had saved is kept.
        """
        if not units:
            return []
        if self.count == 1 or (len(units) == 1 and not self._processes):
            return [self._run_here(stage, unit) for unit in units]
        self._start(min(self.count, len(units)))
        return self._schedule(stage, units)

    def _run_here(self, stage: str, unit: Unit) -> Any:
        with ProgressBars(stage, [unit], self.quiet) as bars, failures_explained(f"The stage '{stage}'"):
            return unit.function(*unit.arguments, progress=lambda *news: bars.show(0, *news))

    def _start(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        while len(self._processes) < count:
            here, there = context.Pipe()
            lock = self.locks / WORKER_LOCK.format(len(self._processes))
            process = context.Process(target=_serve, args=(there, os.getpid(), self.threads, lock), daemon=True)
            with _main_module_hidden():
                process.start()
            there.close()
            self._processes.append((process, here))

    def _schedule(self, stage: str, units: Sequence[Unit]) -> list[Any]:
        results: list[Any] = [None] * len(units)
        waiting = list(range(len(units)))[::-1]
        idle = [connection for _, connection in self._processes]
        process_of = {connection: process for process, connection in self._processes}
        busy: set[Connection] = set()
        with ProgressBars(stage, units, self.quiet) as bars:
            while waiting or busy:
                while idle and waiting:
                    index = waiting.pop()
                    connection = idle.pop(0)
                    with contextlib.suppress(ConnectionError):  # it is gone, as its other end will tell
                        connection.send((index, units[index].function, units[index].arguments))
                    busy.add(connection)
                for ready in wait(list(busy)):
                    assert isinstance(ready, Connection)
                    try:
                        kind, index, content = ready.recv()
                    except (EOFError, ConnectionError) as error:
                        raise loss_of_worker(process_of[ready], ready in self._begun, stage) from error
                    if kind == "begun":
                        self._begun.add(ready)
                        continue
                    if kind == "progress":
                        bars.show(index, *content)
                        continue
                    results[index] = result_of(stage, units[index], kind, content)
                    bars.close(index)
                    busy.remove(ready)
                    idle.append(ready)
        return results


@contextlib.contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Inside the block, a spawned process does not run the user's script again, as it would to find what was pickled
    from there (`multiprocessing.spawn`): what workers run are the package's own functions."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _serve(connection: Connection, parent: int, threads: int, lock: Path) -> None:
    """A worker's life: wait for units, run them, report; end with the parent."""
    connection.send(("begun", -1, None))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business, who then ends us
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    torch.set_num_threads(threads)
    with contextlib.ExitStack() as held:
        with silent():
            held.enter_context(exclusive(lock, f"{lock.parent} (a worker)", patience=30.0))
        held.enter_context(contextlib.suppress(EOFError, OSError))
        while True:
            index, function, arguments = connection.recv()

            def progress(*news: Any, index: int = index) -> None:
                connection.send(("progress", index, news))

            kind, content = attempt(function, arguments, progress)
            connection.send((kind, index, content))


def attempt(function: Callable[..., Any], arguments: tuple[Any, ...], progress: Progress) -> tuple[str, Any]:
    """Run a unit in a process of its own and tell what came of it, as `result_of` takes it; raises nothing."""
    try:
        with silent(), failures_explained(f"The stage '{function.__name__.strip('_')}'"):
            return "done", function(*arguments, progress=progress)
    except UserError as error:
        return "user_error", str(error)
    except Exception:
        return "error", traceback.format_exc()


def result_of(stage: str, unit: Unit, kind: str, content: Any) -> Any:
    """The result of a unit from what `attempt` told of it.

    Raises:
        UserError: it met a user's mistake.
        RuntimeError: it failed otherwise; the message holds its traceback.
    """
    if kind == "user_error":
        raise UserError(content)
    if kind == "error":
        raise RuntimeError(f"{stage} of {unit.label} failed:\n{content}")
    return content


def _die_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


class ProgressBars:
    """One progress bar per unit that has begun."""

    def __init__(self, stage: str, units: Sequence[Unit], quiet: bool) -> None:
        self.stage, self.units, self.quiet = stage, units, quiet
        self.bars: dict[int, tqdm] = {}
        # A log file gets a line every half minute, a terminal or a notebook ten a second.
        self.interval = 0.1 if sys.stderr.isatty() or IN_NOTEBOOK else 30.0

    def __enter__(self) -> ProgressBars:
        return self

    def __exit__(self, *exception: object) -> None:
        for bar in self.bars.values():
            bar.close()

    def show(self, index: int, done: int, total: int, figures: dict[str, float]) -> None:
        if index not in self.bars:
            label = f"{self.stage:8s} {self.units[index].label}"
            self.bars[index] = tqdm(
                desc=label, total=total, mininterval=self.interval, initial=done, disable=self.quiet
            )
        bar = self.bars[index]
        bar.total = total
        bar.set_postfix({name: f"{value:.4g}" for name, value in figures.items()}, refresh=False)
        bar.update(done - bar.n)

    def close(self, index: int) -> None:
        if index in self.bars:
            self.bars[index].close()
