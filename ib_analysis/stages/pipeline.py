"""The order of the stages, and how far a command goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ib_analysis.experiment import Experiment
from ib_analysis.stages.collate import collate
from ib_analysis.stages.draw import draw, print_table
from ib_analysis.stages.dump import dump_units
from ib_analysis.stages.fit import fit_units
from ib_analysis.stages.measure import code_length_units, probe_units
from ib_analysis.stages.prepare import prepare
from ib_analysis.stages.sample import merge_samples, sample_units
from ib_analysis.stages.train import train_units
from ib_analysis.stages.workers import Unit, Workers, exclusive

__all__ = ["Stage", "run_until"]

Stage = Literal["dump", "measure", "sample", "draw"]

# name -> units that are not complete; a stage starts when the one before is whole
STAGES: dict[str, Callable[[Experiment], list[Unit]]] = {
    "train": train_units,
    "dump": dump_units,
    "probe": probe_units,
    "fit": fit_units,
    "measure": code_length_units,
    "sample": sample_units,
}
LAST: dict[Stage, str] = {"dump": "dump", "measure": "measure", "sample": "sample", "draw": "sample"}


def run_until(experiment: Experiment, last: Stage) -> None:
    """Run whatever is missing up to a stage, and say what came out.

    Raises:
        UserError: a user's mistake (other config, full disk, another process at work); nothing computed is lost.
    """
    with exclusive(experiment.folder / ".lock", str(experiment.folder)):
        prepare(experiment)
        with Workers(experiment.workers, experiment.config.threads, experiment.folder) as workers:
            for name, units in STAGES.items():
                workers.run(name, units(experiment))
                if name == "measure":
                    collate(experiment)
                if name == "sample":
                    merge_samples(experiment)
                if name == LAST[last]:
                    break
        if last in ("sample", "draw"):
            draw(experiment, page_only=last == "sample")
        if last in ("measure", "draw"):
            print_table(experiment)
