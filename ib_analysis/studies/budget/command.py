"""`ib budget`: fit, measure, tabulate and draw, going on wherever an earlier call was interrupted."""

from __future__ import annotations

from pathlib import Path

from ib_analysis.drawn import draw_unless_drawn, show_paths
from ib_analysis.experiment import Experiment
from ib_analysis.stages.pipeline import run_until
from ib_analysis.studies.budget.config import BudgetConfig
from ib_analysis.studies.budget.plan import budgets, study_of
from ib_analysis.studies.budget.table import summary, tabulate

__all__ = ["check", "extent", "run"]


def check(experiment: Experiment, settings: BudgetConfig) -> None:
    """Refuse what cannot be fitted, before anything runs.

    Raises:
        UserError: no such encoder, no null condition, spike-ins, or a decoder that cannot be.
    """
    study_of(experiment, budgets(experiment, settings))


def extent(experiment: Experiment, settings: BudgetConfig) -> str:
    """What the study adds to an experiment, in words."""
    steps = [budget.fit.fitting.steps for budget in budgets(experiment, settings)]
    return f"decoder fits: {len(steps)}, steps in all: {sum(steps):,}"


def run(experiment: Experiment, settings: BudgetConfig) -> None:
    """Run whatever is missing of the encoders and of the budget curves, draw them and print their table.

    One decoder per budget for all cells of one encoder, with the null condition as its own L0. Writes ``budget.csv``
    (see `ib_analysis.studies.budget.rows`) under ``checkpoints/<experiment>/studies/budget``, and the figure
    ``budget`` into the experiment's figures.

    Raises:
        UserError: a user's mistake; nothing computed is lost.
    """
    check(experiment, settings)
    plan = budgets(experiment, settings)
    run_until(experiment, "dump")
    study = study_of(experiment, plan)
    study.run()
    rows = tabulate(study, plan)
    show_paths(_draw(experiment, study.folder / "budget.csv"))
    print()
    print(summary(rows))


def _draw(experiment: Experiment, table: Path) -> list[Path]:
    def drawn() -> list[Path]:
        from ib_analysis.plots.style import save_all  # matplotlib is slow to import
        from ib_analysis.studies.budget.figure import draw

        return save_all(draw(table), experiment.figures)

    return draw_unless_drawn(experiment.figures, "budget", [table], drawn)
