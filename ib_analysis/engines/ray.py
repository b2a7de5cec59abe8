"""Units as tasks of a Ray cluster: a unit whose process or machine dies goes on in another one.

What keeps the numbers those of the local engine: a task runs the same function with the same number of threads, and
every node must have the same versions of the libraries. What keeps the files whole: a unit runs under a lock of its
own on the shared file system, so that a predecessor that was given up as dead, and still writes for a moment, holds
off its successor until it is gone.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from ib_analysis.artifacts import UserError, silent, write_text
from ib_analysis.engines.local import WORKER_LOCK, ProgressBars, Unit, attempt, exclusive, remove_parts, result_of
from ib_analysis.engines.ray_connection import Site, check_nodes, connect, import_ray

__all__ = ["RayEngine"]

MOST_ATTEMPTS = 5
"""A unit that loses its process so often is to blame itself, most likely for its memory."""
PATIENCE_SECONDS = 180.0
"""How long a unit waits for a predecessor to be gone. Ray ends the processes of a machine that is cut off after about a
minute; a file server lets go of a dead machine's locks after a minute and a half."""
POLL_SECONDS = 0.2
NEWS_SECONDS = 0.5
"""Time between two messages on a unit's progress."""


class RayEngine:
    """Runs units as tasks of a Ray cluster, one CPU per thread, and with a share of a GPU where there are GPUs.

    A unit whose process or machine dies is handed out again and goes on where it had last saved its state; a
    `UserError` is the end of the run, as with the local engine.

    Arguments:
        address: ``auto`` or host:port of a running cluster; None: RAY_ADDRESS, else a Ray of this machine.
        most: units at a time; 0: as many as the cluster has room for. They share the GPUs: a unit has a whole one
            where ``most`` is 0 or does not exceed their number.
        here: units at a time where a Ray of this machine is started.
        threads: threads of each unit.
        folder: of the experiment, seen by all nodes.
        quiet: show no progress bars.

    Raises:
        UserError: Ray is not installed.
    """

    def __init__(
        self, address: str | None, most: int, here: int, threads: int, folder: Path, quiet: bool = False
    ) -> None:
        self.address, self.most, self.here, self.threads = address, most, here, threads
        self.folder, self.quiet = folder, quiet
        self._ray = import_ray()
        self._site: Site | None = None
        self._news: Any = None

    def __enter__(self) -> RayEngine:
        torch.set_num_threads(self.threads)  # of this process, which puts samples and tables together
        return self

    def _join(self) -> None:
        """Join the cluster, once there is something to do."""
        token = secrets.token_hex(8)
        self._site = Site(os.getcwd(), str(self.folder), str(self.folder / ".ray_probe"), token)
        write_text(Path(self._site.probe), token)
        connect(self._ray, self.address, cpus=self.here * self.threads)
        self._gpu_share = check_nodes(self._ray, self._site, self.threads, self.most)
        self._news = _start_news(self._ray)

    def __exit__(self, *exception: object) -> None:
        self._ray.shutdown()  # ends the tasks that still run
        if self._site is not None:
            Path(self._site.probe).unlink(missing_ok=True)

    def run(self, stage: str, units: Sequence[Unit]) -> list[Any]:
        """Run all units and return their results in order.

        Raises:
            UserError: a unit met a user's mistake, or its process died again and again; the others are stopped, what
                they had saved is kept.
        """
        if not units:
            return []
        if self._news is None:
            self._join()
        results: list[Any] = [None] * len(units)
        waiting = list(range(len(units)))[::-1]
        attempts = [0] * len(units)
        running: dict[Any, int] = {}
        try:
            with ProgressBars(stage, units, self.quiet) as bars:
                while waiting or running:
                    while waiting and not 0 < self.most <= len(running):
                        index = waiting.pop()
                        attempts[index] += 1
                        running[self._submit(stage, units[index], index)] = index
                    ready, _ = self._ray.wait(list(running), timeout=POLL_SECONDS)
                    for index, news in self._progress():
                        if index in running.values():
                            bars.show(index, *news)
                    for task in ready:
                        index = running.pop(task)
                        try:
                            kind, content = self._ray.get(task)
                        except self._losses() as error:
                            self._tell_loss(stage, units[index], attempts[index], error)
                            waiting.append(index)
                            continue
                        results[index] = result_of(stage, units[index], kind, content)
                        bars.close(index)
                        self._lock(stage, units[index]).unlink(missing_ok=True)
        finally:
            for task in running:
                self._ray.cancel(task, force=True)
        if sum(attempts) > len(units):
            remove_parts(self.folder)
        return results

    def _submit(self, stage: str, unit: Unit, index: int) -> Any:
        task = self._ray.remote(_work).options(
            name=f"{stage} {unit.label}",
            num_cpus=self.threads,
            num_gpus=self._gpu_share,
            max_retries=0,  # by us, who count
        )
        return task.remote(self._site, self._news, index, self.threads, str(self._lock(stage, unit)), unit)

    def _lock(self, stage: str, unit: Unit) -> Path:
        """A unit's lock file; one of those that the next command waits for, should this one be killed."""
        return self.folder / WORKER_LOCK.format("_" + hashlib.sha256(f"{stage} {unit.label}".encode()).hexdigest()[:16])

    def _losses(self) -> tuple[type[Exception], ...]:
        errors = self._ray.exceptions
        return (
            errors.WorkerCrashedError, errors.NodeDiedError, errors.LocalRayletDiedError, errors.OutOfMemoryError,
            errors.ObjectLostError,
        )  # fmt: skip

    def _tell_loss(self, stage: str, unit: Unit, attempts: int, error: Exception) -> None:
        if attempts >= MOST_ATTEMPTS:
            raise UserError(
                f"The process of the stage '{stage}' for {unit.label} died {attempts} times (often for want of "
                "memory); run the same command again to go on, with fewer --workers if memory is short."
            ) from error
        if not self.quiet:
            tqdm.write(
                f"{stage}: the process of {unit.label} died ({type(error).__name__}); it is started again and goes on "
                "where it had last saved.",
                file=sys.stderr,
            )

    def _progress(self) -> list[tuple[int, tuple[Any, ...]]]:
        try:
            return list(self._ray.get(self._news.take.remote()).items())
        except self._ray.exceptions.RayActorError:
            self._news = _start_news(self._ray)  # its machine died; tasks that began before are silent from now on
            return []


def _start_news(ray: Any) -> Any:
    """A process on the driver's machine that keeps the last word of every unit."""

    class News:  # inside a function, Ray carries it along: its process need not import this package
        def __init__(self) -> None:
            self.last: dict[int, tuple[Any, ...]] = {}

        def tell(self, index: int, news: tuple[Any, ...]) -> None:
            self.last[index] = news

        def take(self) -> dict[int, tuple[Any, ...]]:
            told, self.last = self.last, {}
            return told

    node = ray.get_runtime_context().get_node_id()
    near = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=True)
    return ray.remote(News).options(num_cpus=0, scheduling_strategy=near).remote()


def _work(site: Site, news: Any, index: int, threads: int, lock: str, unit: Unit) -> tuple[str, Any]:
    """A task: run one unit, on whatever machine this is."""
    complaint = site.complaint(socket.gethostname())
    if complaint is not None:
        return "user_error", complaint
    torch.set_num_threads(threads)
    try:
        with silent(), exclusive(Path(lock), unit.label, patience=PATIENCE_SECONDS):
            return attempt(unit.function, unit.arguments, _Reporter(news, index))
    except UserError as error:  # of the lock
        return "user_error", str(error)


class _Reporter:
    """A unit's progress, told now and then; the last word always."""

    def __init__(self, news: Any, index: int) -> None:
        self.news, self.index, self.told = news, index, 0.0

    def __call__(self, done: int, total: int, figures: dict[str, float]) -> None:
        now = time.monotonic()
        if now - self.told >= NEWS_SECONDS or done >= total:
            self.told = now
            self.news.tell.remote(self.index, (done, total, figures))
