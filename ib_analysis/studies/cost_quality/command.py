"""`ib cost-quality`: train, evaluate, tabulate and draw, going on wherever an earlier call was interrupted."""

from __future__ import annotations

from pathlib import Path

from ib_analysis.drawn import draw_unless_drawn, show_paths
from ib_analysis.experiment import Experiment
from ib_analysis.studies.cost_quality.config import CostQualityConfig
from ib_analysis.studies.cost_quality.evaluate import run_missing
from ib_analysis.studies.cost_quality.plan import CostQuality
from ib_analysis.studies.cost_quality.summary import summary
from ib_analysis.studies.cost_quality.table import tabulate

__all__ = ["check", "extent", "run"]


def check(experiment: Experiment, settings: CostQualityConfig) -> None:
    """Build every network of one seed, before anything is trained; no image is loaded.

    Raises:
        UserError: a network that cannot be quantized, or would be after the last training step.
    """
    study = CostQuality(experiment, settings)
    for network in study.networks:
        if network.seed == settings.seeds[0]:
            study.initial(network)


def extent(experiment: Experiment, settings: CostQualityConfig) -> str:
    """What the study adds to an experiment, in words."""
    return f"networks: {len(CostQuality(experiment, settings).networks)}"


def run(experiment: Experiment, settings: CostQualityConfig) -> None:
    """Run whatever is missing of the grid, draw it and print its tables.

    Trains classifiers on the experiment's encoder images with its training settings, each depth, width, format and seed
    once, and evaluates them image by image. Writes ``cost_quality.csv``, ``cost_quality_points.csv`` and
    ``dominance.csv`` (see `ib_analysis.studies.cost_quality.rows`) under
    ``checkpoints/<experiment>/studies/cost_quality``, and the figures ``cost_quality`` and ``generalization_gap``.

    Raises:
        UserError: a user's mistake; nothing computed is lost.
    """
    check(experiment, settings)
    study = CostQuality(experiment, settings)
    run_missing(study)
    tables = tabulate(study)
    paths = _draw(study)
    print(summary(tables))
    print()
    show_paths(paths)


def _draw(study: CostQuality) -> list[Path]:
    def drawn() -> list[Path]:
        from ib_analysis.plots.style import save_all  # matplotlib is slow to import
        from ib_analysis.studies.cost_quality.figure import draw
        from ib_analysis.studies.cost_quality.generalization_gap import draw as draw_gaps

        figures = (named for drawing in (draw, draw_gaps) for named in drawing(study.folder))
        return save_all(figures, study.experiment.figures)

    sources = [study.folder / name for name in ("cost_quality.csv", "cost_quality_points.csv", "dominance.csv")]
    return draw_unless_drawn(study.experiment.figures, "cost-quality", sources, drawn)
