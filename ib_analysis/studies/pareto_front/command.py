"""`ib pareto-front`: run what is missing of the experiment, tabulate its fronts, draw them and answer the questions."""

from __future__ import annotations

from pathlib import Path

from ib_analysis.artifacts import UserError
from ib_analysis.drawn import draw_unless_drawn, show_paths
from ib_analysis.engines.local import exclusive
from ib_analysis.experiment import Experiment
from ib_analysis.stages.pipeline import run_until
from ib_analysis.studies.pareto_front.config import ParetoFrontConfig
from ib_analysis.studies.pareto_front.plan import epoch_of, fronts_of, points_of
from ib_analysis.studies.pareto_front.questions import FEWEST_POINTS
from ib_analysis.studies.pareto_front.summary import summary
from ib_analysis.studies.pareto_front.table import TABLES, folder_of, tabulate

__all__ = ["check", "extent", "run"]


def check(experiment: Experiment, settings: ParetoFrontConfig) -> None:
    """Refuse what is no front, before anything runs.

    Raises:
        UserError: no trade-off is trained for in three ways, or the epoch has no checkpoint.
    """
    epoch_of(experiment, settings)
    if not any(len(front) >= FEWEST_POINTS for front in fronts_of(points_of(experiment))):
        raise UserError(
            f"pareto-front needs a front of {FEWEST_POINTS} points at least; choose --tasks [joint] with as many "
            "joint.preferences or joint.reconstruction_limits."
        )


def extent(experiment: Experiment, settings: ParetoFrontConfig) -> str:
    """What the study adds to an experiment, in words."""
    return f"passes over the evaluation images: {len(experiment.runs)}"


def run(experiment: Experiment, settings: ParetoFrontConfig) -> None:
    """Run whatever is missing of the experiment up to its tables, then tabulate and draw the fronts.

    Writes the tables of `ib_analysis.studies.pareto_front.rows` under ``checkpoints/<experiment>/studies/pareto_front``
    and the figures ``pareto_front`` and ``pareto_front_information``, once per number format.

    Raises:
        UserError: a user's mistake; nothing computed is lost.
    """
    check(experiment, settings)
    run_until(experiment, "measure")
    folder = folder_of(experiment)
    with exclusive(folder / ".lock", str(folder)):
        tables = tabulate(experiment, epoch_of(experiment, settings))

    def drawn() -> list[Path]:
        from ib_analysis.plots.style import save_all  # matplotlib is slow to import
        from ib_analysis.studies.pareto_front.figure import draw

        return save_all(draw(folder), experiment.figures)

    print(summary(tables))
    print()
    sources = [folder / name for name in TABLES]
    show_paths(draw_unless_drawn(experiment.figures, "pareto-front", sources, drawn))
