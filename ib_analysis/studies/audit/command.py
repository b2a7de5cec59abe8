"""`ib audit`: is the shared decoder as good as a decoder of its own for each cell, at what cost, and what helps?"""

from __future__ import annotations

from pathlib import Path

from ib_analysis.drawn import draw_unless_drawn, show_paths
from ib_analysis.experiment import Experiment
from ib_analysis.stages.pipeline import run_until
from ib_analysis.studies.audit.config import AuditConfig
from ib_analysis.studies.audit.plan import Plan, check
from ib_analysis.studies.audit.summary import audit_summary, hysteresis_summary
from ib_analysis.studies.audit.tables import audit_table, hysteresis_path, hysteresis_table, table_path

__all__ = ["check", "extent", "run"]


def extent(experiment: Experiment, settings: AuditConfig) -> str:
    """What the study adds to an experiment, in words."""
    remedies = f", remedies: {len(settings.remedies)}" if settings.remedies else ""
    return f"dedicated decoder fits: {settings.cells * len(settings.multiples)}{remedies}"


def run(experiment: Experiment, settings: AuditConfig) -> None:
    """Run whatever is missing of an experiment and of its audit, draw the figure and print the tables.

    Writes ``audit.csv`` (see `ib_analysis.studies.audit.rows`) and, if asked for, ``hysteresis.csv`` into
    ``checkpoints/<experiment>/studies/audit``, and ``figures/<experiment>/audit.png``.

    Raises:
        UserError: a user's mistake (dedicated decoders, more cells than there are, other config, full disk, another
            process at work); nothing computed is lost.
    """
    check(experiment, settings)
    run_until(experiment, "measure")
    plan = Plan(experiment, settings)
    plan.fits.run()
    rows, sweeps = audit_table(plan), hysteresis_table(plan)
    print()
    show_paths(_draw(experiment, table_path(plan), hysteresis_path(plan) if sweeps else None))
    print(audit_summary(rows))
    if sweeps:
        print()
        print(hysteresis_summary(sweeps))


def _draw(experiment: Experiment, table: Path, hysteresis: Path | None) -> list[Path]:
    def drawn() -> list[Path]:
        from ib_analysis.plots.style import save_all  # matplotlib is slow to import
        from ib_analysis.studies.audit.figure import draw

        return save_all(draw(table, hysteresis), experiment.figures)

    sources = [path for path in (table, hysteresis) if path is not None]
    return draw_unless_drawn(experiment.figures, "audit", sources, drawn)
