"""`ib controls`: run the experiment as far as needed, then its controls, and say which of them passed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ib_analysis.artifacts import Artifact, UserError
from ib_analysis.drawn import draw_unless_drawn, show_paths
from ib_analysis.engines.local import Workers, exclusive
from ib_analysis.experiment import Experiment
from ib_analysis.information.table import read_table, write_table
from ib_analysis.stages.pipeline import run_until
from ib_analysis.studies.controls.config import ControlsConfig
from ib_analysis.studies.controls.permuted_labels import permuted_label_units
from ib_analysis.studies.controls.plan import Controls
from ib_analysis.studies.controls.row import CONTROLS, ControlRow
from ib_analysis.studies.controls.rows import rows_of
from ib_analysis.studies.controls.summary import summary

__all__ = ["check", "extent", "run"]


def check(experiment: Experiment, settings: ControlsConfig) -> None:
    """Refuse what does not fit the experiment, before anything runs.

    Raises:
        UserError: an unknown encoder, layer or epoch, a control that the experiment cannot give, or spike-ins.
    """
    Controls(experiment, settings)


def extent(experiment: Experiment, settings: ControlsConfig) -> str:
    """What the study adds to an experiment, in words."""
    steps = [fit.fitting.steps for fit in Controls(experiment, settings).extra.fits]
    return f"decoder fits: {len(steps)}, steps in all: {sum(steps):,}"


def run(experiment: Experiment, settings: ControlsConfig) -> None:
    """Run what is missing of an experiment and of its controls, draw their figure and print their table.

    Writes ``checkpoints/<experiment>/controls.csv`` (see `ib_analysis.studies.controls.row`) with the rows of
    all controls that are finished with these settings, and the figure ``figures/<experiment>/controls.png``.

    Raises:
        UserError: a user's mistake (an unknown layer, other config, full disk); nothing computed is lost.
    """
    controls = Controls(experiment, settings)
    run_until(experiment, "measure")
    controls.extra.run()
    with exclusive(controls.folder / ".lock", str(controls.folder)):
        if "permuted_labels" in controls.names:
            with Workers(1, experiment.config.threads, controls.folder) as workers:
                workers.run("probe", permuted_label_units(controls))
        for name in controls.names:
            _tabulate(controls, name)
        rows = _collate(Controls(experiment, dataclasses.replace(settings, only=())))
        show_paths(_draw(experiment))
    print()
    print(summary(rows, controls.left_out()))


def _tabulate(controls: Controls, name: str) -> None:
    artifact = controls.table_artifact(name)
    if artifact.status() != "complete":
        artifact.begin()
        write_table(artifact.path, ControlRow, rows_of(controls, name))
        artifact.finish()


def _collate(controls: Controls) -> list[ControlRow]:
    """Put the tables together of all controls that are finished with these settings."""
    finished = {name: artifact for name in controls.names if (artifact := _finished(controls, name)) is not None}
    experiment = controls.experiment
    inputs = {name: artifact.identity for name, artifact in finished.items()}
    artifact = Artifact(
        experiment.folder / "controls.csv", "controls", experiment.section("name"), inputs, algorithm="tables"
    )
    rows = [row for name in CONTROLS if name in finished for row in read_table(finished[name].path, ControlRow)]
    if artifact.status() != "complete":
        artifact.begin()
        write_table(artifact.path, ControlRow, rows)
        artifact.finish()
    return rows


def _finished(controls: Controls, name: str) -> Artifact | None:
    try:
        artifact = controls.table_artifact(name)
    except UserError:  # a decoder or probe that it is made of is not there
        return None
    return artifact if artifact.status() == "complete" else None


def _draw(experiment: Experiment) -> list[Path]:
    table = experiment.folder / "controls.csv"

    def drawn() -> list[Path]:
        from ib_analysis.plots.style import save_all  # matplotlib is slow to import
        from ib_analysis.studies.controls.figure import draw

        return save_all(draw(table), experiment.figures)

    return draw_unless_drawn(experiment.figures, "controls", [table], drawn)
