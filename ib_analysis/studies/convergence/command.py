"""`ib convergence`: fit for longer, compare, and draw, going on wherever an earlier call was interrupted."""

from __future__ import annotations

from ib_analysis.drawn import draw_unless_drawn, show_paths
from ib_analysis.experiment import Experiment
from ib_analysis.stages.pipeline import run_until
from ib_analysis.studies.convergence.config import ConvergenceConfig
from ib_analysis.studies.convergence.plan import longer_fits, study_of
from ib_analysis.studies.convergence.summary import summary
from ib_analysis.studies.convergence.table import cell_table, phase_table, table_path

__all__ = ["check", "extent", "run"]


def check(experiment: Experiment, settings: ConvergenceConfig) -> None:
    """Refuse what cannot be compared, before anything runs.

    Raises:
        UserError: spike-ins, fits that end once or start from another experiment's, or something that is not there.
    """
    longer_fits(experiment, settings)


def extent(experiment: Experiment, settings: ConvergenceConfig) -> str:
    """What the study adds to an experiment, in words."""
    steps = [item.longer.fitting.steps for item in longer_fits(experiment, settings)]
    return f"decoder fits: {len(steps)}, steps in all: {sum(steps):,}"


def run(experiment: Experiment, settings: ConvergenceConfig) -> None:
    """Run whatever is missing of an experiment and of its longer fits, draw the comparison and print its tables.

    Writes ``convergence.csv`` and ``convergence_phases.csv`` (see `ib_analysis.studies.convergence.rows`) into
    ``checkpoints/<experiment>/studies/convergence``, and the figure ``convergence`` into the experiment's figures.

    Raises:
        UserError: a user's mistake (fits that end once, other config, full disk, another process at work); nothing
            computed is lost.
    """
    plan = longer_fits(experiment, settings)
    run_until(experiment, "measure")
    study = study_of(experiment, plan)
    study.run()
    rows, phases = cell_table(study, plan, settings), phase_table(study, plan, settings)
    table = table_path(study)

    def drawn() -> list:
        from ib_analysis.plots.style import save_all  # matplotlib is slow to import
        from ib_analysis.studies.convergence.figure import draw

        return save_all(draw(table), experiment.figures)

    print()
    show_paths(draw_unless_drawn(experiment.figures, "convergence", [table], drawn))
    print(summary(rows, phases))
