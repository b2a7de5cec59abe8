"""Joining a Ray cluster, or starting one, and asking its machines whether they can do the work."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ib_analysis.artifacts import UserError, versions

__all__ = ["Site", "check_nodes", "connect", "difference", "import_ray"]

ANSWER_SECONDS = 120
"""How long a machine may take to say that it is ready; it imports torch first."""
CALL_SECONDS = 10
OBJECT_STORE_BYTES = 100 * 2**20
"""Nothing large passes through Ray: units read and write files."""


@dataclass(frozen=True)
class Site:
    """Where the driver works, which every node must see as it does.

    Arguments:
        current: the driver's current folder, which relative paths of a config start from.
        folder: the experiment's folder.
        probe: a small file in it that holds ``token``.
    """

    current: str
    folder: str
    probe: str
    token: str

    def complaint(self, host: str) -> str | None:
        """Enter the driver's current folder; a sentence if this machine does not see the same files."""
        try:
            os.chdir(self.current)
            seen = Path(self.probe).read_text() == self.token
        except OSError:
            seen = False
        if seen:
            return None
        return (
            f"The machine {host} does not see {Path(self.current, self.folder)}; engine ray needs a file system that "
            "all machines share under the same path (for the current folder and --checkpoints)."
        )


def import_ray() -> ModuleType:
    """Ray, without its usage statistics.

    Raises:
        UserError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise UserError(
            "engine is ray, but Ray is not installed; install this project with its extra, pip install -e '.[ray]', "
            "or use --engine local."
        ) from error
    return ray


def connect(ray: Any, address: str | None, cpus: int) -> None:
    """Join a running cluster, or start a Ray of this machine.

    Arguments:
        address: ``auto`` or host:port; None: RAY_ADDRESS where that is set, else a Ray of this machine.
        cpus: of the Ray of this machine.

    Raises:
        UserError: there is no cluster at the address, or it is of another version of Python or Ray.
    """
    chosen = address or os.environ.get("RAY_ADDRESS") or "local"
    own = {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    try:
        _call(chosen)
        ray.init(address=chosen, logging_level="ERROR", log_to_driver=False, **(own if chosen == "local" else {}))
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"There is no Ray cluster to join at {chosen} ({reason}); start one (ray start --head), give its address "
            "by --ray_address, or leave the address out."
        ) from error


def _call(address: str) -> None:
    """See that somebody listens at host:port: Ray itself would try for many minutes.

    Raises:
        OSError: nobody does.
        ValueError: this is no address.
    """
    if address in ("auto", "local"):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError("an address is auto or host:port")
    with socket.create_connection((host, int(port)), timeout=CALL_SECONDS):
        pass


def check_nodes(ray: Any, site: Site, threads: int, most: int) -> float:
    """See that every machine shares the files and the versions, and that one of them has room for a unit.

    Arguments:
        threads: CPUs of a unit.
        most: units at a time; 0: as many as there is room for.

    Returns:
        The share of a GPU that a unit gets; 0 where the cluster has none.

    Raises:
        UserError: a machine does not see the folder, has other versions or does not answer; or there is no room.
    """
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) > 0]
    gpus = sum(node["Resources"].get("GPU", 0) for node in nodes)
    if not any(node["Resources"]["CPU"] >= threads and (not gpus or node["Resources"].get("GPU")) for node in nodes):
        raise UserError(
            f"No machine of the Ray cluster has {threads} CPUs{' and a GPU' if gpus else ''}; use fewer --threads, or "
            "a larger machine."
        )
    affinity = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    asked = [
        (
            node["NodeManagerHostname"],
            ray.remote(_answer)
            .options(num_cpus=0, max_retries=1, scheduling_strategy=affinity(node["NodeID"], soft=False))
            .remote(site),
        )
        for node in nodes
    ]
    for host, answer in asked:
        try:
            complaint = difference(host, *ray.get(answer, timeout=ANSWER_SECONDS))
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1:]
            raise UserError(
                f"The machine {host} of the Ray cluster is not ready ({' '.join(reason)}); install this project in the "
                "environment that its Ray was started from, or take it out of the cluster."
            ) from error
        if complaint is not None:
            raise UserError(complaint)
    if not gpus:
        return 0.0
    return min(1.0, max(0.01, int(100 * gpus / most) / 100)) if most else 1.0


def _answer(site: Site) -> tuple[str | None, dict[str, str]]:
    return site.complaint(socket.gethostname()), versions()


def difference(host: str, complaint: str | None, theirs: dict[str, str]) -> str | None:
    """A sentence on what keeps a machine from the work: unseen files, or versions that would give other numbers.

    >>> difference("far", None, {**versions(), "torch": "1.0"})
    'The machine far has torch 1.0, and not ...; the numbers would depend on where a unit runs: install ...'
    """
    if complaint is not None:
        return complaint
    ours = versions()
    for name in ours:
        if theirs.get(name) != ours[name]:
            return (
                f"The machine {host} has {name} {theirs.get(name, 'not installed')}, and not {ours[name]}; the numbers "
                "would depend on where a unit runs: install the same versions on all machines."
            )
    return None
