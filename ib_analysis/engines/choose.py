"""What the units of an experiment run on: processes of this machine, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from ib_analysis.artifacts import UserError
from ib_analysis.engines.launch import Launch
from ib_analysis.engines.local import Unit, Workers
from ib_analysis.experiment import Experiment

__all__ = ["Engine", "engine_for"]


class Engine(Protocol):
    """Runs units until its block ends; numbers do not depend on which engine it is."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...

    def run(self, stage: str, units: Sequence[Unit]) -> list[Any]:
        """Run all units and return their results in order.

        Raises:
            UserError: a unit met a user's mistake; the others are stopped, what they had saved is kept.
        """
        ...


def engine_for(experiment: Experiment, launch: Launch | None = None, folder: Path | None = None) -> Engine:
    """The engine that an experiment asks for.

    Arguments:
        folder: where the workers' locks lie; the experiment's by default.
        launch: the processes that were launched together, where the caller has them: they share each fit, so that
            units run one after the other.

    Raises:
        UserError: Ray is asked for inside a launch, or is not installed.
    """
    config, folder = experiment.config, folder or experiment.folder
    several = launch is not None and launch.count > 1
    quiet = launch is not None and not launch.is_main
    if config.engine == "local":
        return Workers(1 if several else experiment.workers, config.threads, folder, quiet)
    if several:
        raise UserError(
            "engine is ray, and several processes were launched to share each fit (accelerate launch, torchrun); "
            "use one of the two: --engine local, or no launcher."
        )
    from ib_analysis.engines.ray import RayEngine  # after the rest, since Ray is an optional extra

    return RayEngine(config.ray_address, config.workers, experiment.workers, config.threads, folder, quiet)
