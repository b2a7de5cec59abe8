"""`ib residual-blocks`: train, evaluate, tabulate and draw, going on wherever an earlier call was interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ib_analysis.drawn import draw_unless_drawn, show_paths
from ib_analysis.experiment import Experiment
from ib_analysis.studies.residual_blocks.config import ResidualBlocksConfig
from ib_analysis.studies.residual_blocks.plan import ResidualBlocks
from ib_analysis.studies.residual_blocks.summary import summary
from ib_analysis.studies.residual_blocks.table import DIFFERENCES, NETWORKS, tabulate
from ib_analysis.studies.trained import train_missing

__all__ = ["check", "extent", "run"]


def check(experiment: Experiment, settings: ResidualBlocksConfig) -> None:
    """Refuse what cannot be compared, before anything is trained; no image is loaded.

    Raises:
        UserError: the experiment's network is of another architecture, or no widths make the others as large.
    """
    ResidualBlocks(experiment, settings)


def extent(experiment: Experiment, settings: ResidualBlocksConfig) -> str:
    """What the study adds to an experiment, in words."""
    return f"networks: {len(ResidualBlocks(experiment, settings).networks)}"


def run(experiment: Experiment, settings: ResidualBlocksConfig) -> None:
    """Run whatever is missing, draw it and print the tables.

    Trains classifiers of all four kinds of blocks, as large as the experiment's own network, on its encoder images with
    its training settings, each with every seed. Writes ``residual_blocks.csv`` and ``residual_blocks_differences.csv``
    under ``checkpoints/<experiment>/studies/residual_blocks``, and the figure ``residual_blocks``.

    Raises:
        UserError: a user's mistake; nothing computed is lost.
    """
    study = ResidualBlocks(experiment, settings)
    train_missing(experiment, study.folder, list(study.networks.values()))
    rows, differences = tabulate(study)
    paths = _draw(study)
    print(summary(rows, differences))
    print()
    show_paths(paths)


def _draw(study: ResidualBlocks) -> Sequence[Path]:
    def drawn() -> list[Path]:
        from ib_analysis.plots.style import save_all  # matplotlib is slow to import
        from ib_analysis.studies.residual_blocks.figure import draw

        return save_all(draw(study.folder), study.experiment.figures)

    sources = [study.folder / NETWORKS, study.folder / DIFFERENCES]
    return draw_unless_drawn(study.experiment.figures, "residual-blocks", sources, drawn)
