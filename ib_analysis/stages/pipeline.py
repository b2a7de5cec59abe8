"""The order of the stages, and how far a command goes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Literal

from ib_analysis.engines.choose import Engine, engine_for
from ib_analysis.engines.launch import SHARED_STAGES, Launch
from ib_analysis.engines.local import Unit, clear_remains, exclusive
from ib_analysis.experiment import Experiment
from ib_analysis.stages.base import base_units, describe_base
from ib_analysis.stages.collate import collate
from ib_analysis.stages.count import count_units
from ib_analysis.stages.density import density_units
from ib_analysis.stages.draw import draw, print_table
from ib_analysis.stages.dump import dump_units
from ib_analysis.stages.features import feature_units
from ib_analysis.stages.fit import fit_units
from ib_analysis.stages.measure import code_length_units
from ib_analysis.stages.prepare import prepare, record_config
from ib_analysis.stages.probe import probe_units
from ib_analysis.stages.sample import merge_samples, sample_units
from ib_analysis.stages.train import teacher_units, train_units

__all__ = ["Goal", "run_until"]

Goal = Literal["base", "train", "dump", "measure", "sample", "draw"]

# name -> units that are not complete, and what is made of all of them together; a stage starts when the one before is
# whole
STAGES: tuple[tuple[str, Callable[[Experiment], list[Unit]], Callable[[Experiment], None] | None], ...] = (
    ("train teachers", teacher_units, None),
    ("train", train_units, None),
    ("dump", dump_units, None),
    ("probe", probe_units, None),
    ("base", base_units, None),
    ("features", feature_units, None),
    ("fit", fit_units, None),
    ("codes", density_units, None),
    ("count", count_units, None),
    ("measure", code_length_units, collate),
    ("sample", sample_units, merge_samples),
)


def run_until(experiment: Experiment, goal: Goal) -> None:
    """Run whatever is missing up to a stage, and say what came out.

    Raises:
        UserError: a user's mistake (other config, full disk, another process at work); nothing computed is lost.
    """
    launch = Launch()
    lock = (
        exclusive(experiment.folder / ".lock", str(experiment.folder)) if launch.is_main else contextlib.nullcontext()
    )
    with lock:
        if launch.is_main:
            clear_remains(experiment.folder)
            prepare(experiment)
        with engine_for(experiment, launch) as engine:
            for name, units, together in STAGES:
                if goal == "base" != name:
                    continue
                if name == "base" != goal and not experiment.has_base:
                    continue  # no gated decoder stands on it
                _run_stage(experiment, launch, engine, name, units, together)
                if name == ("sample" if goal == "draw" else goal):
                    break
        if not launch.is_main:
            return
        if goal == "base":
            print(describe_base(experiment))
            return
        record_config(experiment)
        if goal in ("sample", "draw"):
            draw(experiment, page_only=goal == "sample")
        if goal in ("measure", "draw"):
            print_table(experiment)


def _run_stage(
    experiment: Experiment,
    launch: Launch,
    engine: Engine,
    name: str,
    units: Callable[[Experiment], list[Unit]],
    together: Callable[[Experiment], None] | None,
) -> None:
    launch.wait()
    if launch.is_main or name in SHARED_STAGES:
        missing = units(experiment)
        if name in SHARED_STAGES:
            launch.wait()  # all have seen what is missing before the first of them writes
        engine.run(name, missing)
        if together is not None:
            together(experiment)
